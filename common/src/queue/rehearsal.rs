//! A sweep of one sample that is submitted, worked on, collected and deleted, to find out whether a
//! user may.

use std::time::Duration;

use super::client::QueueClient;
use super::error::QueueError;
use super::ids::ClaimToken;
use super::submit::Submission;
use super::sweep::SweepQueue;
use super::work::{Claim, Claimed};
use crate::domain::SweepId;

impl QueueClient {
    /// Goes through everything that programs do to a queue, on a sweep with an id of its own, and
    /// leaves nothing behind.
    ///
    /// # Errors
    /// The first thing that is refused; what was made until then is deleted where that is allowed.
    pub async fn rehearse(&self) -> Result<(), QueueError> {
        let mut id = [0; 32];
        let random = ClaimToken::random().to_string();
        id.iter_mut()
            .zip(random.bytes())
            .for_each(|(id, random)| *id = random);
        let id = SweepId::from_digest(&id);
        let acted = self.act(&id).await;
        let deleted = self.sweep(&id).delete().await;
        acted.and(deleted)
    }

    async fn act(&self, id: &SweepId) -> Result<(), QueueError> {
        let queue = self.sweep(id);
        let submission = Submission {
            spec: "",
            jobs: 1,
            samples: 1,
            variants: 1,
            job_samples: 1,
            lease: Duration::from_secs(60),
            max_attempts: 2,
        };
        // Not by `submit`, which lists it where workers look; an id without a sweep is not looked
        // at. Out before in: who may not take it out again does not put it in.
        queue.in_index("SREM").await?;
        queue.in_index("SADD").await?;
        queue.in_index("SREM").await?;
        queue.create(&submission, 1).await?;
        self.work(&queue).await?;
        let owner = "doctor";
        queue.lock_collector(owner, Duration::from_secs(1)).await?;
        if let Some((last, _)) = queue.results(None, 10).await?.pop() {
            queue.trim(owner, owner, last).await?;
        }
        queue.unlock_collector(owner).await?;
        queue.done_bits().await?;
        queue.mark_done(&[0]).await?;
        queue.progress().await?;
        queue.workers().await?;
        queue.cancel().await
    }

    /// Hands a job back, fails it, and completes it.
    async fn work(&self, queue: &SweepQueue) -> Result<(), QueueError> {
        queue.plan().await?;
        queue.is_over().await?;
        for turn in 0..3 {
            let Claim::Job(Claimed { lease, .. }) =
                queue.claim("doctor", ClaimToken::random()).await?
            else {
                break;
            };
            queue.renew(&lease).await?;
            match turn {
                0 => drop(queue.release(&lease).await?),
                1 => drop(queue.fail(&lease, "rehearsed").await?),
                _ => {
                    queue.record(&lease, 0, "rehearsed").await?;
                    queue.complete(&lease).await?;
                }
            }
        }
        queue.reap(1).await?;
        queue.lapse(None).await?;
        queue.retry().await.map(drop)
    }
}
