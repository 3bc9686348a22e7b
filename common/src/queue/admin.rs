//! The part of operators and supervising coordinators: return the jobs of lost workers, retry dead
//! jobs, cancel or delete the sweep.

use super::error::QueueError;
use super::scripts::{CANCEL, EXPIRE_LEASES, REQUEUE_EXPIRED, RETRY};
use super::sweep_core::SweepCore;

/// Largest numbers of jobs in one script call, so that no call blocks the server for longer than
/// some milliseconds.
const EXPIRE_BATCH: u64 = 250;
const REQUEUE_BATCH: u64 = 100;
const RETRY_BATCH: u64 = 1000;

/// A sweep as operators and supervising coordinators use it.
#[derive(Clone)]
pub struct AdminQueue {
    core: SweepCore,
}

impl AdminQueue {
    pub(super) fn new(core: SweepCore) -> Self {
        Self { core }
    }

    /// Ends the leases of a worker that is known to be gone, so that the next
    /// [`Self::requeue_expired`] returns its jobs without waiting; with `None`, those of all
    /// workers. Returns the number of leases.
    pub async fn expire_leases(&self, worker: Option<&str>) -> Result<u64, QueueError> {
        let worker = worker.unwrap_or_default();
        let mut expired = 0;
        let mut kept = 0;
        loop {
            let batch = self.expire_batch(worker, kept).await?;
            expired += batch.expired;
            kept += batch.seen - batch.expired;
            if batch.seen < EXPIRE_BATCH {
                return Ok(expired);
            }
        }
    }

    /// Ends leases among the next that have not expired, after the first `skip` of those.
    async fn expire_batch(&self, worker: &str, skip: u64) -> Result<ExpiredBatch, QueueError> {
        let call = self.core.call(&EXPIRE_LEASES).arg(worker);
        let mut reply = self.core.run(&call.arg(skip).arg(EXPIRE_BATCH)).await?;
        Ok(ExpiredBatch {
            seen: reply.take()?,
            expired: reply.take()?,
        })
    }

    /// Returns up to `limit` jobs whose leases have expired to the queue, which costs each an
    /// attempt. Returns how many.
    pub async fn requeue_expired(&self, limit: u64) -> Result<u64, QueueError> {
        let mut requeued = 0;
        while requeued < limit {
            let batch = REQUEUE_BATCH.min(limit - requeued);
            let call = self.core.call(&REQUEUE_EXPIRED).arg(batch);
            let taken = self.core.count(&call).await?;
            requeued += taken;
            if taken < batch {
                break;
            }
        }
        Ok(requeued)
    }

    /// Puts dead jobs back into the queue with all their attempts, and makes a cancelled sweep
    /// active. Returns the number of jobs.
    pub async fn retry(&self) -> Result<u64, QueueError> {
        let call = self.core.call(&RETRY).arg(RETRY_BATCH);
        let mut retried = 0;
        loop {
            let mut reply = self.core.run(&call).await?;
            retried += reply.take::<u64>()?;
            let left: u64 = reply.take()?;
            if left == 0 {
                return Ok(retried);
            }
        }
    }

    /// Stops handing out jobs. Leased jobs may be completed.
    pub async fn cancel(&self) -> Result<(), QueueError> {
        self.core.run(&self.core.call(&CANCEL)).await.map(drop)
    }

    /// Removes all that Redis holds of the sweep, collected or not.
    pub async fn delete(&self) -> Result<(), QueueError> {
        let mut unlink = redis::cmd("UNLINK");
        unlink.arg(self.core.keys());
        self.core.query::<u64>(&unlink).await?;
        // Last, so that a sweep that is half deleted is still listed.
        self.core.remove_from_index().await.map(drop)
    }
}

/// The result of one call of the script that ends leases.
struct ExpiredBatch {
    /// Leases looked at.
    seen: u64,
    /// Those of them that were ended.
    expired: u64,
}
