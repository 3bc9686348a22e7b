//! Tests claim, record and complete.

use std::collections::HashSet;
use std::time::Duration;

use ddrs_common::domain::JobId;
use ddrs_common::queue::{
    ClaimReply, ClaimToken, CompleteReply, FailReply, JobState, PROTOCOL, RecordReply,
    ReleaseReply, RenewReply, SweepQueue,
};

use crate::support::{Redis, claim, lines, record_all, three_samples_each};

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
