//! Tests that a worker on which every job fails does not use up the attempts of jobs that other
//! workers can do.

use ddrs_common::domain::JobId;
use ddrs_common::queue::{ClaimReply, ClaimToken, Claimed, FailReply, SweepQueue};

use crate::support::Redis;

async fn claim_as(queue: &SweepQueue, worker: &str) -> ClaimReply {
    queue
        .worker(worker)
        .claim(ClaimToken::random())
        .await
        .unwrap()
}

async fn job_of(queue: &SweepQueue, worker: &str) -> Claimed {
    match claim_as(queue, worker).await {
        ClaimReply::Job(claimed) => claimed,
        other => panic!("no job for {worker} but {other:?}"),
    }
}

#[tokio::test]
async fn a_job_that_failed_on_one_worker_goes_to_another() {
    let redis = Redis::start().await;
    let queue = redis.sweep(2).await;
    let good = job_of(&queue, "good").await;
    let failed = job_of(&queue, "bad").await;
    assert_eq!(
        queue
            .worker("w")
            .fail(&failed.lease, "no device")
            .await
            .unwrap(),
        FailReply::Requeued
    );
    assert_eq!(
        claim_as(&queue, "bad").await,
        ClaimReply::Empty,
        "the job must wait for the other worker"
    );
    queue.worker("w").release(&good.lease).await.unwrap();
    assert_eq!(
        job_of(&queue, "bad").await.lease.job,
        good.lease.job,
        "a job that did not fail on this worker must be claimed"
    );
    let again = job_of(&queue, "good").await;
    assert_eq!((again.lease.job, again.errors), (failed.lease.job, 1));
}

#[tokio::test]
async fn a_single_worker_gets_its_failed_jobs_again_until_they_are_dead() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    for errors in 0..2 {
        let claimed = job_of(&queue, "only").await;
        assert_eq!(claimed.errors, errors);
        queue
            .worker("w")
            .fail(&claimed.lease, "no such file")
            .await
            .unwrap();
    }
    assert_eq!(claim_as(&queue, "only").await, ClaimReply::Finished);
    assert_eq!(
        queue.status().dead_jobs().await.unwrap()[0].reason,
        "no such file"
    );
}

#[tokio::test]
async fn a_failed_job_does_not_wait_for_a_worker_that_left() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    let failed = job_of(&queue, "bad").await;
    queue
        .worker("w")
        .fail(&failed.lease, "no device")
        .await
        .unwrap();
    let held = job_of(&queue, "other").await;
    queue.worker("w").release(&held.lease).await.unwrap();
    queue.worker("other").deregister().await.unwrap();
    assert_eq!(queue.status().workers().await.unwrap().len(), 1);
    assert_eq!(job_of(&queue, "bad").await.lease.job, JobId(0));
}

#[tokio::test]
async fn a_worker_declared_dead_is_no_longer_listed() {
    let redis = Redis::start().await;
    let queue = redis.sweep(2).await;
    for worker in ["gone", "there"] {
        job_of(&queue, worker).await;
    }
    assert_eq!(queue.admin().expire_leases(Some("gone")).await.unwrap(), 1);
    let names: Vec<String> = queue
        .status()
        .workers()
        .await
        .unwrap()
        .into_iter()
        .map(|worker| worker.name)
        .collect();
    assert_eq!(names, ["there"]);
}

#[tokio::test]
async fn more_failed_jobs_than_one_claim_examines_hide_no_other_job() {
    let redis = Redis::start().await;
    let queue = redis.sweep(13).await;
    claim_as(&queue, "good").await;
    for _ in 0..12 {
        let failed = job_of(&queue, "bad").await;
        queue
            .worker("w")
            .fail(&failed.lease, "no device")
            .await
            .unwrap();
    }
    assert_eq!(claim_as(&queue, "bad").await, ClaimReply::Empty);
    for _ in 0..12 {
        assert_eq!(job_of(&queue, "good").await.errors, 1);
    }
}
