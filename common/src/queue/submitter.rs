//! The submitter's part: create a sweep, and put its jobs into the queue.

use std::time::Duration;

use super::PROTOCOL;
use super::error::QueueError;
use super::ids::ClaimToken;
use super::reply::Reply;
use super::scripts::{ENQUEUE_JOBS, SUBMIT};
use super::status::SweepState;
use super::sweep_core::{Call, SweepCore};

/// Largest number of jobs put into the queue in one script call, so that no call blocks the server
/// for long.
const ENQUEUE_BATCH: u32 = 10_000;
/// Bits of a Redis string.
const MAX_SLOTS: u64 = 1 << 32;

/// The parts of a sweep that the queue stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission<'a> {
    /// The specification as workers will read it; the queue does not look inside.
    pub spec: &'a str,
    /// Number of jobs.
    pub jobs: u32,
    /// Samples of each variant.
    pub samples: u64,
    /// Number of variants.
    pub variants: u64,
    /// Samples per job.
    pub job_samples: u64,
    /// The time after which a silent worker loses its job; at least a millisecond.
    pub lease: Duration,
    /// The number of crashes, or of errors, that ends a job.
    pub max_attempts: u32,
}

impl Submission<'_> {
    fn slots(&self) -> Result<u64, QueueError> {
        let slots = self.samples.saturating_mul(self.variants);
        if slots > MAX_SLOTS {
            return Err(QueueError::TooManySlots(slots));
        }
        Ok(slots)
    }
}

/// The result of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// The sweep is new.
    Created,
    /// The sweep existed in this state. It is active now, with the new lease and number of
    /// attempts. Its jobs are unchanged.
    Existing {
        /// The state before.
        state: SweepState,
    },
}

/// A sweep as its submitter uses it.
#[derive(Clone)]
pub struct SubmitterQueue {
    core: SweepCore,
}

impl SubmitterQueue {
    pub(super) fn new(core: SweepCore) -> Self {
        Self { core }
    }

    /// Creates the sweep and all its jobs, or finds them. May be killed, repeated, and run twice at
    /// the same time: no job is added twice, and a later submission adds what an earlier one could
    /// not.
    ///
    /// # Errors
    /// [`QueueError::Protocol`] and [`QueueError::OtherPlan`] when the sweep exists and does not
    /// match.
    pub async fn submit(&self, submission: &Submission<'_>) -> Result<Submitted, QueueError> {
        let slots = submission.slots()?;
        // First, so that a sweep that is half created is listed.
        let is_new = self.core.add_to_index().await?;
        let created = self.create(submission, slots).await;
        if created.is_err() && is_new {
            self.leave_index_unless_created().await;
        }
        let submitted = created?;
        self.enqueue_jobs().await?;
        Ok(submitted)
    }

    /// Removes a sweep that could not be created from those that workers ask for. Where that fails
    /// the sweep stays listed, which costs workers a request from time to time.
    async fn leave_index_unless_created(&self) {
        let once = self.core.with_patience(Duration::ZERO);
        let mut exists = redis::cmd("EXISTS");
        exists.arg(once.key("meta"));
        if !matches!(once.query(&exists).await, Ok(true)) {
            once.remove_from_index().await.ok();
        }
    }

    /// Creates the sweep without jobs, or finds it.
    pub(super) async fn create(
        &self,
        submission: &Submission<'_>,
        slots: u64,
    ) -> Result<Submitted, QueueError> {
        let mut reply = self.core.run(&self.create_call(submission, slots)).await?;
        match reply.word()?.as_str() {
            "created" => Ok(Submitted::Created),
            "existing" => SweepState::read(&mut reply).map(|state| Submitted::Existing { state }),
            "refused" => Err(self.other_protocol(&mut reply)?),
            "conflict" => Err(self.other_plan(&mut reply, slots)?),
            word => Err(reply.unknown(word)),
        }
    }

    fn create_call(&self, submission: &Submission<'_>, slots: u64) -> Call<'static> {
        self.core
            .call(&SUBMIT)
            .arg(submission.spec)
            // Tells a repetition of this very submission from another one.
            .arg(ClaimToken::random().to_string())
            .arg(PROTOCOL)
            .arg(slots)
            .arg(submission.jobs)
            .arg(submission.samples)
            // Lua's numbers are exact to 2^53, and no job is longer than its variant.
            .arg(submission.job_samples.min(submission.samples))
            .arg(submission.lease.as_millis().max(1) as u64)
            .arg(submission.max_attempts.max(1))
    }

    fn other_protocol(&self, reply: &mut Reply) -> Result<QueueError, QueueError> {
        Ok(QueueError::Protocol {
            sweep: self.core.id().clone(),
            theirs: reply.take()?,
            ours: PROTOCOL,
        })
    }

    fn other_plan(&self, reply: &mut Reply, slots: u64) -> Result<QueueError, QueueError> {
        Ok(QueueError::OtherPlan {
            sweep: self.core.id().clone(),
            theirs: reply.take()?,
            ours: slots,
        })
    }

    /// Adds the jobs that are not in the queue yet.
    pub(super) async fn enqueue_jobs(&self) -> Result<(), QueueError> {
        let call = self.core.call(&ENQUEUE_JOBS).arg(ENQUEUE_BATCH);
        while self.core.count(&call).await? > 0 {}
        Ok(())
    }
}
