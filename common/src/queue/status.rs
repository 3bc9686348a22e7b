//! The state of a sweep, its workers and its jobs, read without changing anything.

use std::time::Duration;

use super::error::QueueError;
use super::jobs::{DeadJob, JobEvent, JobStatus};
use super::reply::Reply;
use super::scripts::{INSPECT, PROGRESS, WORKERS};
use super::sweep_core::SweepCore;
use crate::domain::JobId;

/// The state of a sweep: whether its jobs are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepState {
    /// Jobs are handed out.
    Active,
    /// No jobs are handed out until the sweep is submitted or retried.
    Cancelled,
}

/// The counts of a sweep at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepProgress {
    /// Active while jobs are handed out.
    pub state: SweepState,
    /// Samples over all variants.
    pub slots: u64,
    /// Slots that have a record.
    pub done: u64,
    /// All jobs: the sum of the pending, leased, dead and completed ones.
    pub jobs: u64,
    /// Jobs that wait for a worker.
    pub pending: u64,
    /// Jobs at a worker.
    pub leased: u64,
    /// Leased jobs whose lease has expired. The next claim or collector returns them to the queue.
    pub lapsed: u64,
    /// Jobs that were given up.
    pub dead: u64,
    /// Jobs all of whose samples are done.
    pub completed: u64,
    /// Records that are in Redis only.
    pub uncollected: u64,
    /// Leases that expired, so far.
    pub crashes: u64,
    /// Attempts that ended with an error, so far.
    pub errors: u64,
    /// Time since the sweep was first submitted.
    pub age: Duration,
    /// Samples whose record says why they have no certificate.
    pub failed: u64,
    /// Requests that were refused, so far, because the worker's lease had ended.
    pub refused: u64,
}

impl SweepProgress {
    /// Returns true if nothing will happen any more: no job is leased, no record is uncollected,
    /// and no job will be handed out.
    #[must_use]
    pub fn ended(&self) -> bool {
        let waits = self.pending > 0 && self.state == SweepState::Active;
        !waits && self.leased == 0 && self.uncollected == 0
    }

    fn read(reply: &mut Reply) -> Result<Self, QueueError> {
        Ok(Self {
            state: SweepState::read(reply)?,
            slots: reply.take()?,
            done: reply.take()?,
            jobs: reply.take()?,
            pending: reply.take()?,
            leased: reply.take()?,
            dead: reply.take()?,
            completed: reply.take()?,
            uncollected: reply.take()?,
            crashes: reply.take()?,
            errors: reply.take()?,
            age: Duration::from_millis(reply.take()?),
            failed: reply.take()?,
            refused: reply.take()?,
            lapsed: reply.take()?,
        })
    }
}

/// A worker that asked for work in the last day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSeen {
    /// Its name.
    pub name: String,
    /// Time since its last request.
    pub silent: Duration,
    /// The job that it holds.
    pub job: Option<JobId>,
}

/// The reply about one worker: name, milliseconds of silence, job.
type WorkerReply = (String, u64, Option<u32>);

impl WorkerSeen {
    fn read((name, ms, job): WorkerReply) -> Self {
        Self {
            name,
            silent: Duration::from_millis(ms),
            job: job.map(JobId),
        }
    }
}

/// The slots that have a record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DoneBits(Vec<u8>);

impl DoneBits {
    /// Returns true if a slot has a record.
    #[must_use]
    pub fn contains(&self, slot: u64) -> bool {
        // Redis counts bits from the most significant one of the first byte.
        let byte = self.0.get((slot / 8) as usize);
        byte.is_some_and(|byte| byte & (0x80 >> (slot % 8)) != 0)
    }

    /// Returns the slots that have a record, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.0.len() as u64 * 8).filter(|&slot| self.contains(slot))
    }
}

impl SweepState {
    pub(super) fn read(reply: &mut Reply) -> Result<Self, QueueError> {
        match reply.word()?.as_str() {
            "active" => Ok(Self::Active),
            "cancelled" => Ok(Self::Cancelled),
            word => Err(reply.unknown(word)),
        }
    }
}

/// A sweep whose state is read.
#[derive(Clone)]
pub struct StatusQueue {
    core: SweepCore,
}

impl StatusQueue {
    pub(super) fn new(core: SweepCore) -> Self {
        Self { core }
    }

    /// Returns the counts, all of the same moment.
    pub async fn progress(&self) -> Result<SweepProgress, QueueError> {
        let mut reply = self.core.run(&self.core.call(&PROGRESS)).await?;
        SweepProgress::read(&mut reply)
    }

    /// Returns the slots that have a record.
    pub async fn done_bits(&self) -> Result<DoneBits, QueueError> {
        let key = self.core.key("done");
        let bits: Option<Vec<u8>> = self.core.query(redis::cmd("GET").arg(key)).await?;
        Ok(DoneBits(bits.unwrap_or_default()))
    }

    /// Returns the workers that asked for work in the last day, those silent longest first.
    pub async fn workers(&self) -> Result<Vec<WorkerSeen>, QueueError> {
        let reply = self.core.run(&self.core.call(&WORKERS)).await?;
        let workers = reply.rest()?.into_iter();
        Ok(workers.map(WorkerSeen::read).collect())
    }

    /// Returns the jobs that were given up, by number.
    pub async fn dead_jobs(&self) -> Result<Vec<DeadJob>, QueueError> {
        let key = self.core.key("dead");
        let found: Vec<(u32, String)> = self.core.query(redis::cmd("HGETALL").arg(key)).await?;
        let mut dead = Vec::new();
        for (job, json) in found {
            dead.push(DeadJob::read(JobId(job), &json)?);
        }
        dead.sort_by_key(|dead| dead.job);
        Ok(dead)
    }

    /// Returns the state of one job.
    ///
    /// # Errors
    /// Also when the sweep has no such job.
    pub async fn job(&self, job: JobId) -> Result<JobStatus, QueueError> {
        let call = self.core.call(&INSPECT).arg(job.0);
        JobStatus::read(job, self.core.run(&call).await?)
    }

    /// Returns the events of one job, oldest first. About the last 10,000 events of a sweep are
    /// kept.
    pub async fn job_events(&self, job: JobId) -> Result<Vec<JobEvent>, QueueError> {
        let mut command = redis::cmd("XRANGE");
        command.arg(self.core.key("events")).arg("-").arg("+");
        let entries: Vec<(String, Vec<(String, String)>)> = self.core.query(&command).await?;
        JobEvent::of_job(job, &entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_count_from_the_most_significant() {
        let bits = DoneBits(vec![0b1000_0001, 0b0100_0000]);
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 7, 9]);
        assert!(!bits.contains(8) && !bits.contains(16));
    }
}
