//! A worker's part: claim, record, complete; renew meanwhile; release or fail.

use std::collections::HashSet;
use std::time::Duration;

use super::PROTOCOL;
use super::error::QueueError;
use super::ids::{ClaimToken, Fence, Lease};
use super::reply::Reply;
use super::scripts::{
    CLAIM, COMPLETE, FAIL, LAPSE, LEAVE, OVER, REAP, RECORD, RELEASE, RENEW, Transition,
};
use super::sweep::{Call, SweepQueue};
use crate::domain::JobId;
use crate::spec::MAX_JOB_SAMPLES;

/// Longest reason that is kept of a failure, in characters.
const MAX_REASON: usize = 2000;
/// Jobs looked at in one script call, so that no call blocks the server for longer than some
/// milliseconds.
const LAPSE_BATCH: u64 = 250;
const REAP_BATCH: u64 = 100;

/// What a worker that asked for a job got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// A job.
    Job(Claimed),
    /// Nothing now, but jobs are in flight that may come back.
    Empty,
    /// Nothing, and nothing in flight: all jobs are completed or dead.
    Finished,
    /// Nothing: the sweep was cancelled.
    Cancelled,
    /// Nothing: the sweep was submitted by a program of another version.
    Refused {
        /// The sweep's protocol.
        theirs: u32,
        /// This program's.
        ours: u32,
    },
}

/// A leased job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The right to work on it.
    pub lease: Lease,
    /// How long it lasts unless it is renewed. Storing a record renews it, too.
    pub lasts: Duration,
    /// Which attempt this is, from 1. Attempts that were released do not count.
    pub attempt: u32,
    /// How many of the attempts before came to an error.
    pub errors: u32,
    /// The slot of the job's first sample.
    pub first_slot: u64,
    /// How many samples it has.
    pub samples: u64,
    /// Which of them are done, counted from 0 within the job.
    pub done: Vec<u64>,
    /// Which of them to certify now, in this order. All that are not done; but of a job that lost a
    /// worker one at a time, and [`SweepQueue::complete`] names the next.
    pub todo: Vec<u64>,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordReply {
    /// It is stored.
    Stored,
    /// The sample had one already, perhaps this very one.
    Duplicate,
    /// The lease is over; nothing was written.
    Lost,
}

/// What became of a job that a worker thinks is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompleteReply {
    /// It is.
    Completed,
    /// It was already.
    AlreadyCompleted,
    /// These samples are next, counted from 0 within the job; the lease goes on. A server that lost
    /// its last second asks so for what was in it, and a job that lost a worker goes on so, sample
    /// by sample.
    Incomplete {
        /// The samples.
        missing: Vec<u64>,
    },
    /// The samples that are left have lost workers too often: the job is dead.
    GivenUp,
    /// The lease is over.
    Lost,
}

/// What became of a lease that was to be extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewReply {
    /// It lasts its full time from now.
    Renewed,
    /// It is over: the job was completed, or is no longer this worker's.
    Lost,
}

/// What became of a job that was handed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseReply {
    /// It is at the head of the queue, uncharged.
    Released,
    /// Nothing was left to do, so it is completed.
    Completed,
    /// The lease was over.
    Lost,
}

/// What became of a job that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailReply {
    /// It gets another attempt.
    Requeued,
    /// It was the last attempt.
    Dead,
    /// Nothing was left to do, so it is completed.
    Completed,
    /// The lease was over.
    Lost,
}

impl SweepQueue {
    /// Whether a worker need not look at the sweep: it was cancelled, or all its jobs are completed
    /// or dead. Can be asked of a sweep of another protocol version as well.
    ///
    /// # Errors
    /// Also when the sweep is not there.
    pub async fn is_over(&self) -> Result<bool, QueueError> {
        Ok(self
            .run(&self.call(&OVER).arg(PROTOCOL))
            .await?
            .take::<u32>()?
            == 1)
    }

    /// Leases the next job. Jobs whose workers fell silent are taken back first, a hundred at a
    /// time.
    ///
    /// `token` is new for every job asked for. The same one gets the same job as long as its lease
    /// is live.
    pub async fn claim(&self, worker: &str, token: ClaimToken) -> Result<Claim, QueueError> {
        let call = self
            .call(&CLAIM)
            .arg(worker)
            .arg(token.to_string())
            .arg(PROTOCOL);
        let mut reply = self.run(&call).await?;
        Ok(match reply.word()?.as_str() {
            "job" => Claim::Job(Claimed::read(&mut reply, token)?),
            "empty" => Claim::Empty,
            "finished" => Claim::Finished,
            "cancelled" => Claim::Cancelled,
            "refused" => Claim::Refused {
                theirs: reply.take()?,
                ours: PROTOCOL,
            },
            word => return Err(reply.unknown(word)),
        })
    }

    /// Stores one sample's record and extends the lease.
    ///
    /// # Errors
    /// Also when `slot` is none of the job's.
    pub async fn record(
        &self,
        lease: &Lease,
        slot: u64,
        line: &str,
    ) -> Result<RecordReply, QueueError> {
        let mut reply = self
            .run(&self.with_lease(&RECORD, lease).arg(slot).arg(line))
            .await?;
        RecordReply::read(&mut reply)
    }

    /// As [`Self::record`], for a record that says why its sample has no certificate;
    /// [`super::Progress::failed`] counts these.
    pub async fn record_failure(
        &self,
        lease: &Lease,
        slot: u64,
        line: &str,
    ) -> Result<RecordReply, QueueError> {
        let mut reply = self
            .run(
                &self
                    .with_lease(&RECORD, lease)
                    .arg(slot)
                    .arg(line)
                    .arg("failed"),
            )
            .await?;
        RecordReply::read(&mut reply)
    }

    /// Ends the lease of a job all of whose samples have a record.
    pub async fn complete(&self, lease: &Lease) -> Result<CompleteReply, QueueError> {
        let mut reply = self.run(&self.with_lease(&COMPLETE, lease)).await?;
        Ok(match reply.word()?.as_str() {
            "completed" => CompleteReply::Completed,
            "already" => CompleteReply::AlreadyCompleted,
            "incomplete" => CompleteReply::Incomplete {
                missing: reply.take()?,
            },
            "given_up" => CompleteReply::GivenUp,
            "lost" => CompleteReply::Lost,
            word => return Err(reply.unknown(word)),
        })
    }

    /// Extends a lease, also when Redis is out of memory, and also past its end as long as nobody
    /// took the job.
    pub async fn renew(&self, lease: &Lease) -> Result<RenewReply, QueueError> {
        let mut reply = self.run(&self.with_lease(&RENEW, lease)).await?;
        Ok(match reply.word()?.as_str() {
            "renewed" => RenewReply::Renewed,
            "lost" => RenewReply::Lost,
            word => return Err(reply.unknown(word)),
        })
    }

    /// Hands a job back to the head of the queue. It costs no attempt.
    pub async fn release(&self, lease: &Lease) -> Result<ReleaseReply, QueueError> {
        let mut reply = self.run(&self.with_lease(&RELEASE, lease)).await?;
        Ok(match reply.word()?.as_str() {
            "released" => ReleaseReply::Released,
            "completed" => ReleaseReply::Completed,
            "lost" => ReleaseReply::Lost,
            word => return Err(reply.unknown(word)),
        })
    }

    /// Hands back a job that came to an error, which costs an attempt. After the last the job is
    /// dead, for `reason`.
    pub async fn fail(&self, lease: &Lease, reason: &str) -> Result<FailReply, QueueError> {
        let kept: String = reason.chars().take(MAX_REASON).collect();
        let mut reply = self.run(&self.with_lease(&FAIL, lease).arg(kept)).await?;
        Ok(match reply.word()?.as_str() {
            "requeued" => FailReply::Requeued,
            "dead" => FailReply::Dead,
            "completed" => FailReply::Completed,
            "lost" => FailReply::Lost,
            word => return Err(reply.unknown(word)),
        })
    }

    /// Takes back up to `limit` jobs whose workers fell silent, which costs each an attempt.
    /// Returns how many.
    pub async fn reap(&self, limit: u64) -> Result<u64, QueueError> {
        let mut reaped = 0;
        while reaped < limit {
            let batch = REAP_BATCH.min(limit - reaped);
            let taken: u64 = self.run(&self.call(&REAP).arg(batch)).await?.take()?;
            reaped += taken;
            if taken < batch {
                break;
            }
        }
        Ok(reaped)
    }

    /// Lets the leases of a worker that is known to be gone run out, so that the next
    /// [`Self::reap`] takes its jobs back without waiting; with none, those of all workers. Returns
    /// how many.
    pub async fn lapse(&self, worker: Option<&str>) -> Result<u64, QueueError> {
        let (mut lapsed, mut kept) = (0, 0);
        loop {
            let call = self
                .call(&LAPSE)
                .arg(worker.unwrap_or_default())
                .arg(kept)
                .arg(LAPSE_BATCH);
            let mut reply = self.run(&call).await?;
            let (seen, ended): (u64, u64) = (reply.take()?, reply.take()?);
            lapsed += ended;
            kept += seen - ended;
            if seen < LAPSE_BATCH {
                return Ok(lapsed);
            }
        }
    }

    /// Strikes a worker that ends off the list of those who work on the sweep.
    pub async fn leave(&self, worker: &str) -> Result<(), QueueError> {
        self.run(&self.call(&LEAVE).arg(worker)).await.map(|_| ())
    }

    fn with_lease<'a>(&self, transition: &'a Transition, lease: &Lease) -> Call<'a> {
        self.call(transition)
            .arg(lease.job.0)
            .arg(lease.fence.0)
            .arg(lease.token.to_string())
    }
}

impl RecordReply {
    fn read(reply: &mut Reply) -> Result<Self, QueueError> {
        match reply.word()?.as_str() {
            "stored" => Ok(Self::Stored),
            "duplicate" => Ok(Self::Duplicate),
            "lost" => Ok(Self::Lost),
            word => Err(reply.unknown(word)),
        }
    }
}

/// How long a lease lasts: as long as a specification may ask for, for timers are set by it.
fn lease_time(reply: &mut Reply) -> Result<Duration, QueueError> {
    let ms: u64 = reply.take()?;
    if (1..=86_400_000).contains(&ms) {
        return Ok(Duration::from_millis(ms));
    }
    Err(reply.problem(format!("a lease of {ms} ms")))
}

impl Claimed {
    fn read(reply: &mut Reply, token: ClaimToken) -> Result<Self, QueueError> {
        let (job, fence) = (JobId(reply.take()?), Fence(reply.take()?));
        let (attempt, errors, lasts) = (reply.take()?, reply.take()?, lease_time(reply)?);
        let (first_slot, samples, done): (u64, u64, Vec<u64>) =
            (reply.take()?, reply.take()?, reply.take()?);
        let only: Option<Vec<u64>> = reply.take()?;
        if samples > u64::from(MAX_JOB_SAMPLES) {
            return Err(reply.problem(format!("a job of {samples} samples")));
        }
        let todo = only.unwrap_or_else(|| {
            let done: HashSet<&u64> = done.iter().collect();
            (0..samples).filter(|place| !done.contains(place)).collect()
        });
        Ok(Self {
            lease: Lease { job, fence, token },
            lasts,
            attempt,
            errors,
            first_slot,
            samples,
            done,
            todo,
        })
    }
}
