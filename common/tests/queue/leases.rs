//! Tests release, failure, renewal, and the requeueing of expired leases.

use std::time::Duration;

use ddrs_common::domain::JobId;
use ddrs_common::queue::{
    ClaimReply, ClaimToken, CompleteReply, EventKind, FailReply, JobState, RecordReply,
    ReleaseReply, RenewReply, Submission,
};

use crate::support::{Redis, claim, eventually, expect_lost, id, record_all, three_samples_each};

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
