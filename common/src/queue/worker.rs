//! The worker's part, in the order of a job: claim, record, complete; renew meanwhile; release or
//! fail.

use std::time::Duration;

use super::PROTOCOL;
use super::claim::ClaimReply;
use super::error::QueueError;
use super::ids::{ClaimToken, Lease};
use super::lease_replies::{CompleteReply, FailReply, RecordReply, ReleaseReply, RenewReply};
use super::scripts::{
    CLAIM, COMPLETE, DEREGISTER, FAIL, IS_FINISHED, RECORD, RELEASE, RENEW, Transition,
};
use super::sweep_core::{Call, SweepCore};
use crate::domain::SweepId;

/// Longest reason that is kept of a failure, in characters.
const MAX_REASON: usize = 2000;

/// A sweep as one worker uses it.
#[derive(Clone)]
pub struct WorkerQueue {
    core: SweepCore,
    worker: String,
}

impl WorkerQueue {
    pub(super) fn new(core: SweepCore, worker: String) -> Self {
        Self { core, worker }
    }

    /// Returns the sweep's id.
    #[must_use]
    pub fn sweep(&self) -> &SweepId {
        self.core.id()
    }

    /// Returns the same queue with another patience, see [`super::SweepQueue::with_patience`].
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        Self {
            core: self.core.with_patience(patience),
            worker: self.worker.clone(),
        }
    }

    /// Returns true if a worker need not look at the sweep: it was cancelled, or all its jobs are
    /// completed or dead. A sweep of another protocol version can be asked as well.
    ///
    /// # Errors
    /// Also when the sweep does not exist.
    pub async fn is_finished(&self) -> Result<bool, QueueError> {
        let call = self.core.call(&IS_FINISHED).arg(PROTOCOL);
        Ok(self.core.count(&call).await? == 1)
    }

    /// Leases the next job. Before that, up to a hundred jobs of silent workers return to the
    /// queue.
    ///
    /// `token` is new for every job asked for. A repeated claim with the same token returns the
    /// same job for as long as its lease is live.
    pub async fn claim(&self, token: ClaimToken) -> Result<ClaimReply, QueueError> {
        let call = self.core.call(&CLAIM).arg(&self.worker);
        let call = call.arg(token.to_string()).arg(PROTOCOL);
        ClaimReply::read(self.core.run(&call).await?, token)
    }

    /// Stores one sample's record and extends the lease.
    ///
    /// # Errors
    /// Also when `slot` does not belong to the job.
    pub async fn record(
        &self,
        lease: &Lease,
        slot: u64,
        line: &str,
    ) -> Result<RecordReply, QueueError> {
        let call = self.call(&RECORD, lease).arg(slot).arg(line);
        RecordReply::read(self.core.run(&call).await?)
    }

    /// Does the same as [`Self::record`] for a record that says why its sample has no certificate;
    /// [`super::SweepProgress::failed`] counts these.
    pub async fn record_failure(
        &self,
        lease: &Lease,
        slot: u64,
        line: &str,
    ) -> Result<RecordReply, QueueError> {
        let call = self.call(&RECORD, lease).arg(slot).arg(line).arg("failed");
        RecordReply::read(self.core.run(&call).await?)
    }

    /// Ends the lease of a job if all its samples have a record.
    pub async fn complete(&self, lease: &Lease) -> Result<CompleteReply, QueueError> {
        CompleteReply::read(self.core.run(&self.call(&COMPLETE, lease)).await?)
    }

    /// Extends a lease, also when Redis is out of memory, and also past its end as long as no other
    /// worker has the job.
    pub async fn renew(&self, lease: &Lease) -> Result<RenewReply, QueueError> {
        RenewReply::read(self.core.run(&self.call(&RENEW, lease)).await?)
    }

    /// Hands a job back to the head of the queue. It costs no attempt.
    pub async fn release(&self, lease: &Lease) -> Result<ReleaseReply, QueueError> {
        ReleaseReply::read(self.core.run(&self.call(&RELEASE, lease)).await?)
    }

    /// Hands back a job that failed, which costs an attempt. After the last attempt the job is
    /// dead, for `reason`.
    pub async fn fail(&self, lease: &Lease, reason: &str) -> Result<FailReply, QueueError> {
        let reason: String = reason.chars().take(MAX_REASON).collect();
        let call = self.call(&FAIL, lease).arg(reason);
        FailReply::read(self.core.run(&call).await?)
    }

    /// Removes this worker, which is about to end, from the list of the sweep's workers.
    pub async fn deregister(&self) -> Result<(), QueueError> {
        let call = self.core.call(&DEREGISTER).arg(&self.worker);
        self.core.run(&call).await.map(drop)
    }

    fn call<'a>(&self, transition: &'a Transition, lease: &Lease) -> Call<'a> {
        self.core
            .call(transition)
            .arg(lease.job.0)
            .arg(lease.fence.0)
            .arg(lease.token.to_string())
    }
}
