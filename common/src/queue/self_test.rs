//! A test of every permission that programs need: a sweep of one sample is submitted, worked on,
//! collected and deleted.

use std::time::Duration;

use super::claim::ClaimReply;
use super::client::QueueClient;
use super::error::QueueError;
use super::ids::{ClaimToken, Lease};
use super::submitter::Submission;
use super::sweep::SweepQueue;
use super::worker::WorkerQueue;
use crate::domain::SweepId;

/// The name of the worker and of the collector.
const NAME: &str = "doctor";

const SUBMISSION: Submission = Submission {
    spec: "",
    jobs: 1,
    samples: 1,
    variants: 1,
    job_samples: 1,
    lease: Duration::from_secs(60),
    max_attempts: 2,
};

impl QueueClient {
    /// Sends every request that programs send to a queue, to a sweep with a new random id, and
    /// leaves nothing behind.
    ///
    /// # Errors
    /// The first request that is refused. The sweep is deleted where that is allowed.
    pub async fn self_test(&self) -> Result<(), QueueError> {
        let queue = self.sweep(&random_id());
        let used = use_all(&queue).await;
        let deleted = queue.admin().delete().await;
        used.and(deleted)
    }
}

fn random_id() -> SweepId {
    let mut digest = [0; 32];
    // A token is written as 32 characters.
    digest.copy_from_slice(ClaimToken::random().to_string().as_bytes());
    SweepId::from_digest(&digest)
}

async fn use_all(queue: &SweepQueue) -> Result<(), QueueError> {
    submit(queue).await?;
    work(queue).await?;
    collect(queue).await?;
    queue.status().progress().await?;
    queue.status().workers().await?;
    queue.admin().cancel().await
}

/// Creates the sweep, but leaves it unlisted, so that no worker looks at it.
async fn submit(queue: &SweepQueue) -> Result<(), QueueError> {
    list_and_unlist(queue).await?;
    queue.submitter().create(&SUBMISSION, 1).await?;
    queue.submitter().enqueue_jobs().await
}

/// Removes before it adds: a user who may not remove the sweep again does not add it.
async fn list_and_unlist(queue: &SweepQueue) -> Result<(), QueueError> {
    queue.core().remove_from_index().await?;
    queue.core().add_to_index().await?;
    queue.core().remove_from_index().await.map(drop)
}

/// Releases the job, fails it, and completes it.
async fn work(queue: &SweepQueue) -> Result<(), QueueError> {
    let worker = queue.worker(NAME);
    worker.is_finished().await?;
    for turn in 0..3 {
        let ClaimReply::Job(claimed) = worker.claim(ClaimToken::random()).await? else {
            break;
        };
        worker.renew(&claimed.lease).await?;
        end_job(&worker, &claimed.lease, turn).await?;
    }
    queue.admin().requeue_expired(1).await?;
    queue.admin().expire_leases(None).await?;
    queue.admin().retry().await.map(drop)
}

async fn end_job(worker: &WorkerQueue, lease: &Lease, turn: u32) -> Result<(), QueueError> {
    match turn {
        0 => worker.release(lease).await.map(drop),
        1 => worker.fail(lease, "self-test").await.map(drop),
        _ => {
            worker.record(lease, 0, "self-test").await?;
            worker.complete(lease).await.map(drop)
        }
    }
}

async fn collect(queue: &SweepQueue) -> Result<(), QueueError> {
    let collector = queue.collector(NAME);
    collector.lock(Duration::from_secs(1)).await?;
    if let Some((last, _)) = collector.records(None, 10).await?.pop() {
        collector.trim(NAME, last).await?;
    }
    collector.unlock().await?;
    queue.status().done_bits().await?;
    collector.mark_done(&[0]).await
}
