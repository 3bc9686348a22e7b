//! Looking at a sweep as a whole, without changing it.

use std::time::Duration;

use super::error::QueueError;
use super::reply::Reply;
use super::scripts::{PROGRESS, WORKERS};
use super::sweep::SweepQueue;
use crate::domain::JobId;

/// Whether jobs are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepState {
    /// They are.
    Active,
    /// Not until the sweep is submitted or retried.
    Cancelled,
}

/// The counts of a sweep at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Whether jobs are handed out.
    pub state: SweepState,
    /// Samples over all variants.
    pub slots: u64,
    /// Those that have a record.
    pub done: u64,
    /// All jobs: the sum of the next four.
    pub jobs: u64,
    /// Jobs that wait.
    pub pending: u64,
    /// Jobs at a worker.
    pub leased: u64,
    /// Those of them whose lease is over, and that nobody took back yet: the next who claims or
    /// collects does.
    pub lapsed: u64,
    /// Jobs given up.
    pub dead: u64,
    /// Jobs all of whose samples are done.
    pub completed: u64,
    /// Records that are in Redis only.
    pub uncollected: u64,
    /// Leases that ran out, so far.
    pub crashes: u64,
    /// Jobs that came to an error, so far.
    pub errors: u64,
    /// How long ago the sweep was submitted first.
    pub age: Duration,
    /// Samples whose record says why they have no certificate.
    pub failed: u64,
    /// Requests that were refused, so far, because the worker's lease was over.
    pub refused: u64,
}

impl Progress {
    /// Whether nothing will happen any more: nothing is in flight or uncollected, and nothing is
    /// handed out.
    #[must_use]
    pub fn ended(&self) -> bool {
        let waits = self.pending > 0 && self.state == SweepState::Active;
        !waits && self.leased == 0 && self.uncollected == 0
    }
}

/// A worker that asked for work in the last day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSeen {
    /// Its name.
    pub name: String,
    /// How long ago it was heard of.
    pub silent: Duration,
    /// What it has.
    pub job: Option<JobId>,
}

/// Which slots have a record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DoneBits(Vec<u8>);

impl DoneBits {
    /// Whether a slot has one.
    #[must_use]
    pub fn contains(&self, slot: u64) -> bool {
        // Redis counts bits from the most significant one of the first byte.
        self.0
            .get((slot / 8) as usize)
            .is_some_and(|byte| byte & (0x80 >> (slot % 8)) != 0)
    }

    /// The slots that have one, ascending.
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

impl SweepQueue {
    /// The specification as it was submitted first; none if the sweep is not there.
    pub async fn spec(&self) -> Result<Option<String>, QueueError> {
        self.query(redis::cmd("GET").arg(self.key("spec"))).await
    }

    /// The counts, all of one moment.
    pub async fn progress(&self) -> Result<Progress, QueueError> {
        let mut reply = self.run(&self.call(&PROGRESS)).await?;
        Ok(Progress {
            state: SweepState::read(&mut reply)?,
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

    /// Which slots have a record.
    pub async fn done_bits(&self) -> Result<DoneBits, QueueError> {
        let bits: Option<Vec<u8>> = self.query(redis::cmd("GET").arg(self.key("done"))).await?;
        Ok(DoneBits(bits.unwrap_or_default()))
    }

    /// Who asked for work in the last day, those silent longest first.
    pub async fn workers(&self) -> Result<Vec<WorkerSeen>, QueueError> {
        let seen: Vec<(String, u64, Option<u32>)> = self.run(&self.call(&WORKERS)).await?.rest()?;
        let worker = |(name, ms, job): (String, u64, Option<u32>)| WorkerSeen {
            name,
            silent: Duration::from_millis(ms),
            job: job.map(JobId),
        };
        Ok(seen.into_iter().map(worker).collect())
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
