//! The answer to a claim: a leased job, or the reason why no job was leased.

use std::collections::HashSet;
use std::time::Duration;

use super::PROTOCOL;
use super::error::QueueError;
use super::ids::{ClaimToken, Fence, Lease};
use super::reply::Reply;
use crate::domain::JobId;
use crate::spec::MAX_JOB_SAMPLES;

/// Longest lease that a specification may ask for. Timers are set by it.
const LONGEST_LEASE_MS: u64 = 86_400_000;

/// The answer to a worker that asked for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimReply {
    /// A job.
    Job(Claimed),
    /// No job now, but jobs are at other workers and may return.
    Empty,
    /// No job, and none at other workers: all jobs are completed or dead.
    Finished,
    /// No job: the sweep was cancelled.
    Cancelled,
    /// No job: the sweep was submitted by a program of another version.
    Refused {
        /// The sweep's protocol.
        theirs: u32,
        /// This program's protocol.
        ours: u32,
    },
}

/// A leased job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The right to work on it.
    pub lease: Lease,
    /// The time until the lease expires unless it is renewed. Storing a record renews it, too.
    pub lasts: Duration,
    /// The number of this attempt, from 1. Attempts that were released do not count.
    pub attempt: u32,
    /// The number of earlier attempts that ended with an error.
    pub errors: u32,
    /// The slot of the job's first sample.
    pub first_slot: u64,
    /// Number of samples.
    pub samples: u64,
    /// The samples that are done, counted from 0 within the job.
    pub done: Vec<u64>,
    /// The samples to certify now, in this order. These are all that are not done; a job that lost
    /// a worker gets them one at a time, and [`super::WorkerQueue::complete`] names the next.
    pub todo: Vec<u64>,
}

impl ClaimReply {
    pub(super) fn read(mut reply: Reply, token: ClaimToken) -> Result<Self, QueueError> {
        Ok(match reply.word()?.as_str() {
            "job" => Self::Job(Claimed::read(&mut reply, token)?),
            "empty" => Self::Empty,
            "finished" => Self::Finished,
            "cancelled" => Self::Cancelled,
            "refused" => Self::Refused {
                theirs: reply.take()?,
                ours: PROTOCOL,
            },
            word => return Err(reply.unknown(word)),
        })
    }
}

impl Claimed {
    fn read(reply: &mut Reply, token: ClaimToken) -> Result<Self, QueueError> {
        let mut claimed = Self {
            lease: read_lease(reply, token)?,
            attempt: reply.take()?,
            errors: reply.take()?,
            lasts: read_lease_time(reply)?,
            first_slot: reply.take()?,
            samples: reply.take()?,
            done: reply.take()?,
            todo: Vec::new(),
        };
        if claimed.samples > u64::from(MAX_JOB_SAMPLES) {
            return Err(reply.problem(format!("a job of {} samples", claimed.samples)));
        }
        let assigned: Option<Vec<u64>> = reply.take()?;
        claimed.todo = assigned.unwrap_or_else(|| claimed.missing());
        Ok(claimed)
    }

    /// Returns the samples that are not done, counted from 0 within the job.
    fn missing(&self) -> Vec<u64> {
        let done: HashSet<&u64> = self.done.iter().collect();
        (0..self.samples)
            .filter(|place| !done.contains(place))
            .collect()
    }
}

fn read_lease(reply: &mut Reply, token: ClaimToken) -> Result<Lease, QueueError> {
    Ok(Lease {
        job: JobId(reply.take()?),
        fence: Fence(reply.take()?),
        token,
    })
}

fn read_lease_time(reply: &mut Reply) -> Result<Duration, QueueError> {
    let ms: u64 = reply.take()?;
    if (1..=LONGEST_LEASE_MS).contains(&ms) {
        return Ok(Duration::from_millis(ms));
    }
    Err(reply.problem(format!("a lease of {ms} ms")))
}
