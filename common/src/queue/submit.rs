//! Submitting a sweep, and telling Redis what is already done.

use std::time::Duration;

use super::PROTOCOL;
use super::error::QueueError;
use super::ids::ClaimToken;
use super::scripts::{CANCEL, MARK_DONE, MEND, PLAN, REOPEN, RETRY, SETTLE, SUBMIT};
use super::status::SweepState;
use super::sweep::SweepQueue;

/// Arguments of one script call: Lua's `unpack` fails past about 8,000, and no call should block
/// the server for long.
const BATCH: usize = 1000;
/// Jobs planned in one script call, so that no call blocks the server for long.
const PLAN_BATCH: u32 = 10_000;
/// Bits of a Redis string.
const MAX_SLOTS: u64 = 1 << 32;

/// A sweep as the queue sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission<'a> {
    /// The specification as workers will read it; the queue does not look inside.
    pub spec: &'a str,
    /// How many jobs there are.
    pub jobs: u32,
    /// Samples of each variant.
    pub samples: u64,
    /// How many variants there are.
    pub variants: u64,
    /// Samples to a job.
    pub job_samples: u64,
    /// How long a worker may stay silent; at least a millisecond.
    pub lease: Duration,
    /// How many crashes, or errors, end a job.
    pub max_attempts: u32,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// The sweep is new.
    Created,
    /// It was there, in this state; now it is active, with the new lease and number of attempts.
    /// Specification and jobs are as they were.
    Existing {
        /// The state before.
        state: SweepState,
    },
}

impl SweepQueue {
    /// Creates the sweep and all its jobs, or finds them. May be killed, repeated, and run twice at
    /// once: no job is added twice, and a later submission adds what an earlier one could not.
    ///
    /// # Errors
    /// [`QueueError::Protocol`] and [`QueueError::OtherPlan`] when the sweep is there and does not
    /// fit.
    pub async fn submit(&self, submission: &Submission<'_>) -> Result<Submitted, QueueError> {
        let slots = submission.samples.saturating_mul(submission.variants);
        if slots > MAX_SLOTS {
            return Err(QueueError::TooManySlots(slots));
        }
        // First, so that a sweep that is half there is listed.
        let is_new = self.in_index("SADD").await?;
        let submitted = match self.create(submission, slots).await {
            Err(error) if is_new => {
                self.leave_index_unless_there().await;
                return Err(error);
            }
            submitted => submitted?,
        };
        self.plan().await?;
        Ok(submitted)
    }

    /// A sweep that could not be created is not one that workers should ask for, again and again.
    /// Where that cannot be done it stays listed, which costs a request now and then.
    async fn leave_index_unless_there(&self) {
        let once = self.with_patience(Duration::ZERO);
        let exists = once
            .query::<bool>(redis::cmd("EXISTS").arg(self.key("meta")))
            .await;
        if !matches!(exists, Ok(true)) {
            once.in_index("SREM").await.ok();
        }
    }

    /// Adds the jobs that are not there yet.
    pub(super) async fn plan(&self) -> Result<(), QueueError> {
        loop {
            let left: u32 = self.run(&self.call(&PLAN).arg(PLAN_BATCH)).await?.take()?;
            if left == 0 {
                return Ok(());
            }
        }
    }

    pub(super) async fn create(
        &self,
        submission: &Submission<'_>,
        slots: u64,
    ) -> Result<Submitted, QueueError> {
        let call = self
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
            .arg(submission.max_attempts.max(1));
        let mut reply = self.run(&call).await?;
        match reply.word()?.as_str() {
            "created" => Ok(Submitted::Created),
            "existing" => Ok(Submitted::Existing {
                state: SweepState::read(&mut reply)?,
            }),
            "refused" => Err(QueueError::Protocol {
                sweep: self.id().clone(),
                theirs: reply.take()?,
                ours: PROTOCOL,
            }),
            "conflict" => Err(QueueError::OtherPlan {
                sweep: self.id().clone(),
                theirs: reply.take()?,
                ours: slots,
            }),
            word => Err(reply.unknown(word)),
        }
    }

    /// Tells Redis which slots have a record already, and completes the pending and dead jobs with
    /// nothing left to do.
    pub async fn mark_done(&self, slots: &[u64]) -> Result<(), QueueError> {
        if slots.is_empty() {
            return Ok(());
        }
        for batch in slots.chunks(BATCH) {
            self.run(&self.call(&MARK_DONE).arg(batch)).await?;
        }
        let pending: usize = self
            .query(redis::cmd("LLEN").arg(self.key("pending")))
            .await?;
        for _ in 0..pending.div_ceil(BATCH) {
            self.run(&self.call(&SETTLE).arg(BATCH)).await?;
        }
        Ok(())
    }

    /// Opens slots again whose records are lost: set in [`Self::done_bits`], but neither in a file
    /// nor, looked up after that, in [`Self::results`]. Returns how many were done.
    pub async fn reopen(&self, slots: &[u64]) -> Result<u64, QueueError> {
        let mut opened = 0;
        for batch in slots.chunks(BATCH) {
            opened += self
                .run(&self.call(&REOPEN).arg(batch))
                .await?
                .take::<u64>()?;
        }
        Ok(opened)
    }

    /// Puts jobs back into the queue that a crash of the server has left neither waiting nor
    /// leased, dead or completed. Returns how many.
    pub async fn mend(&self) -> Result<u64, QueueError> {
        let jobs = self.progress().await?.jobs;
        let mut mended = 0;
        for first in (0..jobs).step_by(PLAN_BATCH as usize) {
            mended += self
                .run(
                    &self
                        .call(&MEND)
                        .arg(first)
                        .arg(first + u64::from(PLAN_BATCH)),
                )
                .await?
                .take::<u64>()?;
        }
        Ok(mended)
    }

    /// Puts dead jobs back into the queue with all their attempts, and makes a cancelled sweep
    /// active. Returns how many jobs.
    pub async fn retry(&self) -> Result<u64, QueueError> {
        let mut retried = 0;
        loop {
            let mut reply = self.run(&self.call(&RETRY).arg(1000)).await?;
            retried += reply.take::<u64>()?;
            if reply.take::<u64>()? == 0 {
                return Ok(retried);
            }
        }
    }

    /// Stops handing out jobs. Those that are leased may finish.
    pub async fn cancel(&self) -> Result<(), QueueError> {
        self.run(&self.call(&CANCEL)).await.map(|_| ())
    }
}
