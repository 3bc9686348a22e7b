//! Tests claim, record, complete, renew, release, fail and the requeueing of expired leases.

use std::collections::HashSet;
use std::time::Duration;

use ddrs_common::domain::JobId;
use ddrs_common::queue::{
    ClaimReply, ClaimToken, Claimed, CompleteReply, EventKind, FailReply, JobState, PROTOCOL,
    QueueError, RecordReply, ReleaseReply, RenewReply, Submission, SweepProgress, SweepQueue,
};

use crate::support::{Redis, claim, eventually, id, lines, record_all, three_samples_each};

async fn expect_lost(queue: &SweepQueue, old: &Claimed) {
    let before = lines(queue).await;
    let counted = counts(queue).await;
    assert_eq!(
        queue
            .worker("w")
            .record(&old.lease, old.first_slot, "late")
            .await
            .unwrap(),
        RecordReply::Lost
    );
    assert_eq!(
        queue.worker("w").renew(&old.lease).await.unwrap(),
        RenewReply::Lost
    );
    assert_eq!(
        queue.worker("w").complete(&old.lease).await.unwrap(),
        CompleteReply::Lost
    );
    assert_eq!(
        queue.worker("w").release(&old.lease).await.unwrap(),
        ReleaseReply::Lost
    );
    assert_eq!(
        queue.worker("w").fail(&old.lease, "late").await.unwrap(),
        FailReply::Lost
    );
    let refused = SweepProgress {
        refused: counted.refused + 5,
        ..counted
    };
    assert_eq!((lines(queue).await, counts(queue).await), (before, refused));
}

/// Returns the progress without its age, which changes with time.
async fn counts(queue: &SweepQueue) -> SweepProgress {
    SweepProgress {
        age: Duration::ZERO,
        ..queue.status().progress().await.unwrap()
    }
}

#[tokio::test]
async fn a_job_is_claimed_recorded_and_completed() {
    let redis = Redis::start().await;
    let queue = redis.sweep(2).await;
    let claimed = claim(&queue).await;
    assert_eq!(
        (claimed.lease.job, claimed.attempt, claimed.lasts),
        (JobId(0), 1, Duration::from_secs(60))
    );
    assert_eq!(
        (claimed.first_slot, claimed.samples, claimed.done.as_slice()),
        (0, 3, [].as_slice())
    );
    record_all(&queue, &claimed).await;
    assert_eq!(
        queue.worker("w").complete(&claimed.lease).await.unwrap(),
        CompleteReply::Completed
    );

    let progress = queue.status().progress().await.unwrap();
    assert_eq!(
        (progress.done, progress.slots, progress.uncollected),
        (3, 6, 3)
    );
    assert_eq!(
        (
            progress.pending,
            progress.leased,
            progress.dead,
            progress.completed
        ),
        (1, 0, 0, 1)
    );
    assert_eq!(
        queue.status().job(JobId(0)).await.unwrap().state,
        JobState::Completed
    );
    assert_eq!(lines(&queue).await, ["record 0", "record 1", "record 2"]);
}

#[tokio::test]
async fn a_sweep_whose_shape_is_damaged_is_refused_before_any_change() {
    let redis = Redis::start().await;
    let queue = redis.sweep(2).await;
    let claimed = claim(&queue).await;
    queue
        .worker("w")
        .record(&claimed.lease, claimed.first_slot, "record")
        .await
        .unwrap();
    let meta = format!("ddrs:{{{}}}:meta", queue.id());
    let mut raw = redis.raw().await;
    let huge = "1000000000000";
    for (samples, job_samples) in [
        ("6", "-1"),
        ("-5", "3"),
        (huge, huge),
        ("4000000000", "4000000000"),
        ("6", "0"),
        ("x", "3"),
        ("6", "2.5"),
    ] {
        let mut damage = redis::cmd("HSET");
        damage
            .arg(&meta)
            .arg("samples")
            .arg(samples)
            .arg("job_samples")
            .arg(job_samples);
        damage.exec_async(&mut raw).await.unwrap();
        let error = queue
            .worker("w")
            .claim(ClaimToken::random())
            .await
            .unwrap_err();
        assert!(
            error.is_of_one_sweep() && error.to_string().contains("BADSHAPE"),
            "{samples} {job_samples}: {error}"
        );
        let error = queue
            .worker("w")
            .complete(&claimed.lease)
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("BADSHAPE"),
            "{samples} {job_samples}: {error}"
        );
    }
    let mut repair = redis::cmd("HSET");
    repair
        .arg(&meta)
        .arg("samples")
        .arg("6")
        .arg("job_samples")
        .arg("3")
        .exec_async(&mut raw)
        .await
        .unwrap();
    assert_eq!(
        queue.status().progress().await.unwrap().pending,
        1,
        "no job may be claimed from a damaged sweep"
    );
}

#[tokio::test]
async fn a_sweep_is_finished_when_no_job_is_pending_or_leased() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    let claimed = claim(&queue).await;
    assert_eq!(
        queue
            .worker("other")
            .claim(ClaimToken::random())
            .await
            .unwrap(),
        ClaimReply::Empty
    );
    record_all(&queue, &claimed).await;
    queue.worker("w").complete(&claimed.lease).await.unwrap();
    assert_eq!(
        queue
            .worker("other")
            .claim(ClaimToken::random())
            .await
            .unwrap(),
        ClaimReply::Finished
    );
}

#[tokio::test]
async fn a_repeated_claim_gives_the_same_job_until_its_lease_ends() {
    let redis = Redis::start().await;
    let queue = redis.sweep(2).await;
    let token = ClaimToken::random();
    let first = queue.worker("w").claim(token).await.unwrap();
    assert_eq!(queue.worker("w").claim(token).await.unwrap(), first);
    assert_eq!(queue.status().progress().await.unwrap().leased, 1);
    let ClaimReply::Job(claimed) = first else {
        panic!("{first:?}")
    };
    queue.worker("w").release(&claimed.lease).await.unwrap();
    let ClaimReply::Job(again) = queue.worker("w").claim(token).await.unwrap() else {
        panic!("no job")
    };
    assert!(again.lease.fence > claimed.lease.fence);
}

#[tokio::test]
async fn a_repeated_record_is_stored_once() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    let claimed = claim(&queue).await;
    assert_eq!(
        queue
            .worker("w")
            .record(&claimed.lease, 1, "one")
            .await
            .unwrap(),
        RecordReply::Stored
    );
    assert_eq!(
        queue
            .worker("w")
            .record(&claimed.lease, 1, "one")
            .await
            .unwrap(),
        RecordReply::Duplicate
    );
    assert_eq!(lines(&queue).await, ["one"]);
}

#[tokio::test]
async fn a_record_of_another_jobs_sample_is_refused() {
    let redis = Redis::start().await;
    let queue = redis.sweep(2).await;
    let claimed = claim(&queue).await;
    let refused = queue
        .worker("w")
        .record(&claimed.lease, 3, "not mine")
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("job 0 has no slot 3"),
        "{refused}"
    );
    assert!(lines(&queue).await.is_empty());
}

#[tokio::test]
async fn an_incomplete_job_names_its_missing_samples_and_stays_leased() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    let claimed = claim(&queue).await;
    queue
        .worker("w")
        .record(&claimed.lease, 1, "one")
        .await
        .unwrap();
    let reply = queue.worker("w").complete(&claimed.lease).await.unwrap();
    assert_eq!(reply, CompleteReply::Continue { todo: vec![0, 2] });
    assert_eq!(
        queue.worker("w").renew(&claimed.lease).await.unwrap(),
        RenewReply::Renewed
    );
}

#[tokio::test]
async fn completing_twice_is_harmless() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    let claimed = claim(&queue).await;
    record_all(&queue, &claimed).await;
    queue.worker("w").complete(&claimed.lease).await.unwrap();
    assert_eq!(
        queue.worker("w").complete(&claimed.lease).await.unwrap(),
        CompleteReply::AlreadyCompleted
    );
    assert_eq!(
        queue.worker("w").release(&claimed.lease).await.unwrap(),
        ReleaseReply::Completed
    );
    assert_eq!(
        queue
            .worker("w")
            .fail(&claimed.lease, "late")
            .await
            .unwrap(),
        FailReply::Completed
    );
    assert_eq!(
        queue
            .worker("w")
            .record(&claimed.lease, 0, "late")
            .await
            .unwrap(),
        RecordReply::Lost
    );
    let progress = queue.status().progress().await.unwrap();
    assert_eq!(
        (progress.completed, progress.pending, progress.errors),
        (1, 0, 0)
    );
}

#[tokio::test]
async fn a_released_job_is_next_and_costs_no_attempt() {
    let redis = Redis::start().await;
    let queue = redis.sweep(3).await;
    let claimed = claim(&queue).await;
    queue
        .worker("w")
        .record(&claimed.lease, 1, "one")
        .await
        .unwrap();
    assert_eq!(
        queue.worker("w").release(&claimed.lease).await.unwrap(),
        ReleaseReply::Released
    );
    assert_eq!(
        queue.worker("w").release(&claimed.lease).await.unwrap(),
        ReleaseReply::Released
    );
    assert_eq!(queue.status().progress().await.unwrap().pending, 3);

    let again = claim(&queue).await;
    assert_eq!(
        (again.lease.job, again.attempt, again.done.as_slice()),
        (JobId(0), 1, [1].as_slice())
    );
    expect_lost(&queue, &claimed).await;
}

#[tokio::test]
async fn a_failed_job_goes_to_the_tail_and_is_dead_after_its_last_error() {
    let redis = Redis::start().await;
    let queue = redis.sweep(2).await;
    let first = claim(&queue).await;
    assert_eq!(
        queue
            .worker("w")
            .fail(&first.lease, "no such file")
            .await
            .unwrap(),
        FailReply::Requeued
    );
    assert_eq!(
        queue
            .worker("w")
            .fail(&first.lease, "no such file")
            .await
            .unwrap(),
        FailReply::Requeued
    );
    let other = claim(&queue).await;
    assert_eq!(other.lease.job, JobId(1));

    let second = claim(&queue).await;
    assert_eq!((second.lease.job, second.attempt), (JobId(0), 2));
    expect_lost(&queue, &first).await;
    queue
        .worker("w")
        .record(&second.lease, 0, "zero")
        .await
        .unwrap();
    assert_eq!(
        queue
            .worker("w")
            .fail(&second.lease, "out of memory")
            .await
            .unwrap(),
        FailReply::Dead
    );
    assert_eq!(
        queue
            .worker("w")
            .fail(&second.lease, "out of memory")
            .await
            .unwrap(),
        FailReply::Dead
    );
    let dead = queue.status().dead_jobs().await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (
            dead[0].job,
            dead[0].reason.as_str(),
            dead[0].worker.as_str()
        ),
        (JobId(0), "out of memory", "w")
    );
    assert_eq!(
        (
            dead[0].errors,
            dead[0].crashes,
            dead[0].missing,
            dead[0].next_slot
        ),
        (2, 0, 2, 1)
    );
    assert_eq!(
        queue.status().job(JobId(0)).await.unwrap().state,
        JobState::Dead(dead[0].clone())
    );
    let mut kinds: Vec<_> = queue
        .status()
        .job_events(JobId(0))
        .await
        .unwrap()
        .iter()
        .map(|event| event.kind)
        .collect();
    kinds.retain(|kind| *kind != EventKind::Refused);
    assert_eq!(
        kinds,
        [EventKind::Failed, EventKind::Failed, EventKind::Dead]
    );
}

#[tokio::test]
async fn a_silent_worker_loses_its_job_and_cannot_write_any_more() {
    let redis = Redis::start().await;
    let queue = redis.client.sweep(&id(1));
    let lease = Duration::from_millis(60);
    queue
        .submitter()
        .submit(&Submission {
            lease,
            ..three_samples_each(1)
        })
        .await
        .unwrap();
    let silent = claim(&queue).await;
    queue
        .worker("w")
        .record(&silent.lease, 0, "zero")
        .await
        .unwrap();
    // Only this claim requeues the expired lease.
    let next = eventually(|| async {
        match queue
            .worker("next")
            .claim(ClaimToken::random())
            .await
            .unwrap()
        {
            ClaimReply::Job(claimed) => Some(claimed),
            ClaimReply::Empty => None,
            other => panic!("{other:?}"),
        }
    });
    let next = next.await;
    assert_eq!(
        (next.lease.job, next.attempt, next.done.as_slice()),
        (JobId(0), 2, [0].as_slice())
    );
    expect_lost(&queue, &silent).await;
    let trail = queue.status().job_events(JobId(0)).await.unwrap();
    assert_eq!(
        (trail[0].kind, trail[0].worker.as_str()),
        (EventKind::Lapsed, "w")
    );
    assert!(trail[0].since < trail[0].at);
    let refused: Vec<_> = trail[1..]
        .iter()
        .map(|event| (event.kind, event.detail.as_str()))
        .collect();
    let late = [
        "the record of slot 0",
        "a renewal",
        "a completion",
        "a return",
        "a failure",
    ];
    let late = late.map(|what| format!("{what} under claim 1"));
    assert_eq!(
        refused,
        late.iter()
            .map(|what| (EventKind::Refused, what.as_str()))
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_renewed_lease_outlives_its_first_deadline() {
    let redis = Redis::start().await;
    let queue = redis.sweep(2).await;
    let kept = claim(&queue).await;
    redis.expire_lease(&kept, &queue).await;
    assert_eq!(
        queue.worker("w").renew(&kept.lease).await.unwrap(),
        RenewReply::Renewed,
        "no other worker has claimed the job yet"
    );
    assert_eq!(queue.admin().requeue_expired(10).await.unwrap(), 0);
    redis.expire_lease(&kept, &queue).await;
    assert_eq!(
        queue
            .worker("w")
            .record(&kept.lease, 0, "zero")
            .await
            .unwrap(),
        RecordReply::Stored
    );
    assert_eq!(
        queue.admin().requeue_expired(10).await.unwrap(),
        0,
        "storing a record must renew the lease"
    );
}

#[tokio::test]
async fn crashes_and_errors_are_counted_separately() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    let lost = claim(&queue).await;
    redis.expire_lease(&lost, &queue).await;
    queue.admin().requeue_expired(10).await.unwrap();
    let failed = claim(&queue).await;
    assert_eq!(
        queue
            .worker("w")
            .fail(&failed.lease, "an error")
            .await
            .unwrap(),
        FailReply::Requeued,
        "crashes and errors must not be added up"
    );
    assert_eq!(claim(&queue).await.attempt, 3);
}

#[tokio::test]
async fn a_job_whose_worker_is_lost_after_the_last_record_is_completed() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    let claimed = claim(&queue).await;
    record_all(&queue, &claimed).await;
    redis.expire_lease(&claimed, &queue).await;
    assert_eq!(queue.admin().requeue_expired(10).await.unwrap(), 1);
    let progress = queue.status().progress().await.unwrap();
    assert_eq!(
        (progress.completed, progress.pending, progress.crashes),
        (1, 0, 0)
    );
    assert_eq!(
        queue.worker("w").complete(&claimed.lease).await.unwrap(),
        CompleteReply::AlreadyCompleted
    );
}

#[tokio::test]
async fn many_expired_leases_are_requeued_in_batches() {
    let redis = Redis::start().await;
    let queue = redis.sweep(250).await;
    let mut claimed = Vec::new();
    for _ in 0..250 {
        claimed.push(claim(&queue).await);
    }
    for claimed in &claimed {
        redis.expire_lease(claimed, &queue).await;
    }
    for expected in [100, 100, 50, 0] {
        assert_eq!(queue.admin().requeue_expired(100).await.unwrap(), expected);
    }
    let progress = queue.status().progress().await.unwrap();
    assert_eq!(
        (progress.leased, progress.pending, progress.crashes),
        (0, 250, 250)
    );
}

#[tokio::test]
async fn the_leases_of_a_worker_that_is_gone_can_be_ended_early() {
    let redis = Redis::start().await;
    let queue = redis.sweep(3).await;
    let mut leases = Vec::new();
    for worker in ["gone", "alive", "gone"] {
        let ClaimReply::Job(claimed) = queue
            .worker(worker)
            .claim(ClaimToken::random())
            .await
            .unwrap()
        else {
            panic!("no job")
        };
        leases.push(claimed.lease);
    }
    assert_eq!(queue.admin().expire_leases(Some("gone")).await.unwrap(), 2);
    assert_eq!(queue.admin().requeue_expired(100).await.unwrap(), 2);
    assert_eq!(
        queue.worker("w").renew(&leases[0]).await.unwrap(),
        RenewReply::Lost
    );
    assert_eq!(
        queue.worker("w").renew(&leases[1]).await.unwrap(),
        RenewReply::Renewed
    );
    assert_eq!(queue.admin().expire_leases(None).await.unwrap(), 1);
    assert_eq!(queue.admin().requeue_expired(100).await.unwrap(), 1);
    let progress = queue.status().progress().await.unwrap();
    assert_eq!(
        (progress.leased, progress.pending, progress.crashes),
        (0, 3, 3)
    );
}

#[tokio::test]
async fn a_dead_job_comes_back_with_all_its_attempts() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    for _ in 0..2 {
        queue
            .worker("w")
            .fail(&claim(&queue).await.lease, "broken")
            .await
            .unwrap();
    }
    assert_eq!(queue.admin().retry().await.unwrap(), 1);
    assert_eq!(queue.admin().retry().await.unwrap(), 0);
    assert!(queue.status().dead_jobs().await.unwrap().is_empty());
    let claimed = claim(&queue).await;
    assert_eq!(claimed.attempt, 1);
    assert_eq!(
        queue
            .worker("w")
            .fail(&claimed.lease, "broken")
            .await
            .unwrap(),
        FailReply::Requeued
    );
}

#[tokio::test]
async fn a_cancelled_sweep_hands_out_nothing_but_lets_workers_finish() {
    let redis = Redis::start().await;
    let queue = redis.sweep(2).await;
    let claimed = claim(&queue).await;
    queue.admin().cancel().await.unwrap();
    queue.admin().cancel().await.unwrap();
    assert_eq!(
        queue.worker("w").claim(ClaimToken::random()).await.unwrap(),
        ClaimReply::Cancelled
    );
    record_all(&queue, &claimed).await;
    assert_eq!(
        queue.worker("w").complete(&claimed.lease).await.unwrap(),
        CompleteReply::Completed
    );
    queue.admin().retry().await.unwrap();
    assert_eq!(claim(&queue).await.lease.job, JobId(1));
}

#[tokio::test]
async fn a_sweep_has_ended_when_no_job_is_pending_or_leased_or_when_it_was_cancelled() {
    let redis = Redis::start().await;
    let queue = redis.sweep(2).await;
    let has_ended = async || queue.worker("w").is_finished().await.unwrap();
    assert!(!has_ended().await, "jobs are pending");
    for _ in 0..2 {
        let claimed = claim(&queue).await;
        assert!(!has_ended().await, "a job is leased");
        record_all(&queue, &claimed).await;
        queue.worker("w").complete(&claimed.lease).await.unwrap();
    }
    assert!(has_ended().await);
    queue.collector("me").reopen(&[0]).await.unwrap();
    assert!(!has_ended().await, "a job was reopened");
    let claimed = claim(&queue).await;
    queue.admin().cancel().await.unwrap();
    redis.expire_lease(&claimed, &queue).await;
    assert!(has_ended().await, "the sweep was cancelled");
    let counted = counts(&queue).await;
    assert_eq!(
        (counted.leased, counted.pending),
        (0, 1),
        "the job of a silent worker must be requeued in a cancelled sweep"
    );
}

#[tokio::test]
async fn a_worker_of_another_version_is_refused() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    let meta = format!("ddrs:{{{}}}:meta", queue.id());
    let mut raw = redis.raw().await;
    let _: u32 = redis::cmd("HSET")
        .arg(meta)
        .arg("protocol")
        .arg(PROTOCOL + 1)
        .query_async(&mut raw)
        .await
        .unwrap();
    let claim = queue.worker("w").claim(ClaimToken::random()).await.unwrap();
    assert_eq!(
        claim,
        ClaimReply::Refused {
            theirs: PROTOCOL + 1,
            ours: PROTOCOL
        }
    );
    let refused = queue
        .submitter()
        .submit(&three_samples_each(1))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains(&format!("protocol {}", PROTOCOL + 1))
            && refused.contains(&format!("speaks {PROTOCOL}")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_missing_sweep_is_named() {
    let redis = Redis::start().await;
    let queue = redis.client.sweep(&id(7));
    for error in [
        queue
            .worker("w")
            .claim(ClaimToken::random())
            .await
            .unwrap_err(),
        queue.status().progress().await.unwrap_err(),
        queue.admin().requeue_expired(1).await.unwrap_err(),
        queue.admin().retry().await.unwrap_err(),
        queue.admin().cancel().await.unwrap_err(),
        queue.collector("me").mark_done(&[1]).await.unwrap_err(),
        queue.status().job(JobId(0)).await.unwrap_err(),
    ] {
        assert!(
            matches!(&error, QueueError::NoSweep(sweep) if *sweep == id(7)),
            "{error}"
        );
    }
    assert_eq!(queue.spec().await.unwrap(), None);
}

#[tokio::test]
async fn a_lease_of_a_deleted_sweep_cannot_write_to_its_successor() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    let old = claim(&queue).await;
    queue.admin().delete().await.unwrap();
    assert!(redis.client.sweeps().await.unwrap().is_empty());
    assert_eq!(
        queue
            .worker("w")
            .record(&old.lease, 0, "late")
            .await
            .unwrap(),
        RecordReply::Lost
    );
    assert_eq!(
        redis::cmd("DBSIZE")
            .query_async(&mut redis.raw().await)
            .await,
        Ok(0)
    );

    queue
        .submitter()
        .submit(&three_samples_each(1))
        .await
        .unwrap();
    let new = claim(&queue).await;
    assert_eq!(
        (new.lease.job, new.lease.fence),
        (old.lease.job, old.lease.fence),
        "fences start again"
    );
    expect_lost(&queue, &old).await;
}

#[tokio::test]
async fn a_late_request_restores_no_key_of_a_deleted_sweep() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    let late = claim(&queue).await;
    queue.admin().delete().await.unwrap();
    assert_eq!(
        queue
            .worker("w")
            .record(&late.lease, 0, "late")
            .await
            .unwrap(),
        RecordReply::Lost
    );
    assert!(matches!(
        queue.status().progress().await,
        Err(QueueError::NoSweep(_))
    ));
}

/// Works until no job is left. Returns the completed jobs.
async fn work(queue: SweepQueue, name: String) -> Vec<JobId> {
    let worker = queue.worker(&name);
    let mut jobs = Vec::new();
    while let ClaimReply::Job(claimed) = worker.claim(ClaimToken::random()).await.unwrap() {
        record_all(&queue, &claimed).await;
        assert_eq!(
            queue.worker("w").complete(&claimed.lease).await.unwrap(),
            CompleteReply::Completed
        );
        jobs.push(claimed.lease.job);
    }
    jobs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_workers_never_get_the_same_job() {
    let redis = Redis::start().await;
    let queue = redis.sweep(200).await;
    let workers: Vec<_> = (0..8)
        .map(|number| tokio::spawn(work(queue.clone(), format!("w{number}"))))
        .collect();
    let mut jobs = Vec::new();
    for worker in workers {
        jobs.extend(worker.await.unwrap());
    }
    assert_eq!(
        (jobs.len(), jobs.iter().collect::<HashSet<_>>().len()),
        (200, 200)
    );
    assert_eq!(
        lines(&queue).await.iter().collect::<HashSet<_>>().len(),
        600
    );
}

#[tokio::test]
async fn status_shows_the_job_of_each_worker() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    let claimed = claim(&queue).await;
    queue
        .worker("idle")
        .claim(ClaimToken::random())
        .await
        .unwrap();
    let mut seen: Vec<_> = queue
        .status()
        .workers()
        .await
        .unwrap()
        .into_iter()
        .map(|worker| (worker.name, worker.job))
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        [("idle".to_owned(), None), ("w".to_owned(), Some(JobId(0)))]
    );
    let JobState::Leased { worker, left, .. } =
        queue.status().job(claimed.lease.job).await.unwrap().state
    else {
        panic!("the job must be leased")
    };
    assert!(
        worker == "w" && left <= Duration::from_secs(60) && left > Duration::from_secs(30),
        "{left:?}"
    );
}
