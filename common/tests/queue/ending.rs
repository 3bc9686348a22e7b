//! Tests sweeps that end, are cancelled or deleted.

use ddrs_common::domain::JobId;
use ddrs_common::queue::{ClaimReply, ClaimToken, CompleteReply, QueueError, RecordReply};

use crate::support::{Redis, claim, counts, expect_lost, id, record_all, three_samples_each};

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
