//! The collector's part: mark what is on disk, read records, write them elsewhere, then trim them
//! from Redis. One collector works at a time.

use std::time::Duration;

use redis::{Cmd, Value};

use super::error::QueueError;
use super::ids::StreamId;
use super::reply::Reply;
use super::scripts::{COMPLETE_DONE_JOBS, LOCK, MARK_DONE, REOPEN, REQUEUE_ORPHANS, TRIM, UNLOCK};
use super::status::StatusQueue;
use super::sweep_core::SweepCore;
use crate::domain::InvalidValue;

/// Largest number of slots in one script call: Lua's `unpack` fails past about 8,000, and no call
/// should block the server for long.
const SLOT_BATCH: usize = 1000;
/// Largest number of jobs checked in one script call.
const JOB_BATCH: usize = 10_000;

/// The answer to a request for the right to collect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectorLock {
    /// The caller has it.
    Held {
        /// The place of trimmed records, as the last [`CollectorQueue::trim`] named it.
        collected_into: Option<String>,
    },
    /// Another collector has it.
    Busy {
        /// That collector.
        owner: String,
        /// The time until its right ends unless it is renewed.
        left: Duration,
    },
}

/// A sweep as one collector uses it.
#[derive(Clone)]
pub struct CollectorQueue {
    core: SweepCore,
    owner: String,
}

impl CollectorQueue {
    pub(super) fn new(core: SweepCore, owner: String) -> Self {
        Self { core, owner }
    }

    /// Takes the right to collect for `ttl`, or renews it.
    pub async fn lock(&self, ttl: Duration) -> Result<CollectorLock, QueueError> {
        let call = self.core.call(&LOCK).arg(&self.owner);
        let reply = self.core.run(&call.arg(ttl.as_millis() as u64)).await?;
        CollectorLock::read(reply)
    }

    /// Gives up the right to collect, if this collector has it.
    pub async fn unlock(&self) -> Result<(), QueueError> {
        let call = self.core.call(&UNLOCK).arg(&self.owner);
        self.core.run(&call).await.map(drop)
    }

    /// Marks slots as done whose records are on disk, and completes the pending and dead jobs that
    /// have no sample left to do.
    pub async fn mark_done(&self, slots: &[u64]) -> Result<(), QueueError> {
        if slots.is_empty() {
            return Ok(());
        }
        for batch in slots.chunks(SLOT_BATCH) {
            self.core
                .run(&self.core.call(&MARK_DONE).arg(batch))
                .await?;
        }
        self.complete_done_jobs().await
    }

    /// Completes the pending jobs that have no sample left to do.
    async fn complete_done_jobs(&self) -> Result<(), QueueError> {
        let mut length = redis::cmd("LLEN");
        length.arg(self.core.key("pending"));
        let pending: usize = self.core.query(&length).await?;
        let call = self.core.call(&COMPLETE_DONE_JOBS).arg(SLOT_BATCH);
        for _ in 0..pending.div_ceil(SLOT_BATCH) {
            self.core.run(&call).await?;
        }
        Ok(())
    }

    /// Returns up to `count` records after `after`, oldest first; with `None`, from the start. An
    /// entry whose record is not a text has an empty one, which is not a valid record.
    ///
    /// Collectors start from `None` after every trim: the ids of a server that lost its last
    /// second, or of its replica, need not be above earlier ones.
    pub async fn records(
        &self,
        after: Option<StreamId>,
        count: usize,
    ) -> Result<Vec<(StreamId, String)>, QueueError> {
        let command = self.range(after, count);
        let entries: Vec<StreamEntry> = self.core.query(&command).await?;
        entries.into_iter().map(read_result).collect()
    }

    fn range(&self, after: Option<StreamId>, count: usize) -> Cmd {
        let start = after.map_or_else(|| "-".to_owned(), |id| format!("({id}"));
        let mut command = redis::cmd("XRANGE");
        command.arg(self.core.key("results")).arg(start).arg("+");
        command.arg("COUNT").arg(count);
        command
    }

    /// Removes the records up to and including `upto`, which are now safe at `into`. Returns false,
    /// and removes nothing, when this collector does not have the right to collect: then another
    /// one may have read the same records.
    pub async fn trim(&self, into: &str, upto: StreamId) -> Result<bool, QueueError> {
        let call = self.core.call(&TRIM).arg(&self.owner).arg(into);
        let call = call.arg(upto.next().to_string());
        let mut reply = self.core.run(&call).await?;
        match reply.word()?.as_str() {
            "trimmed" => Ok(true),
            "not_collector" => Ok(false),
            word => Err(reply.unknown(word)),
        }
    }

    /// Marks slots as not done whose records are lost: set in [`StatusQueue::done_bits`], but
    /// neither in a file nor, read after that, in [`Self::results`]. Returns how many were done.
    pub async fn reopen(&self, slots: &[u64]) -> Result<u64, QueueError> {
        let mut reopened = 0;
        for batch in slots.chunks(SLOT_BATCH) {
            let call = self.core.call(&REOPEN).arg(batch);
            reopened += self.core.count(&call).await?;
        }
        Ok(reopened)
    }

    /// Puts jobs back into the queue that a crash of the server has left neither pending nor
    /// leased, dead or completed. Returns how many.
    pub async fn requeue_orphans(&self) -> Result<u64, QueueError> {
        let jobs = StatusQueue::new(self.core.clone()).progress().await?.jobs;
        let mut requeued = 0;
        for first in (0..jobs).step_by(JOB_BATCH) {
            let call = self.core.call(&REQUEUE_ORPHANS).arg(first);
            let call = call.arg(first + JOB_BATCH as u64);
            requeued += self.core.count(&call).await?;
        }
        Ok(requeued)
    }
}

impl CollectorLock {
    fn read(mut reply: Reply) -> Result<Self, QueueError> {
        Ok(match reply.word()?.as_str() {
            "held" => Self::Held {
                collected_into: reply.take()?,
            },
            "busy" => Self::Busy {
                owner: reply.take()?,
                left: Duration::from_millis(reply.take()?),
            },
            word => return Err(reply.unknown(word)),
        })
    }
}

/// An entry of the stream of results: its id and its fields.
type StreamEntry = (String, Vec<(String, Value)>);

fn read_result((id, fields): StreamEntry) -> Result<(StreamId, String), QueueError> {
    let id = id.parse().map_err(|problem| bad_result(&problem))?;
    let record = fields.into_iter().find(|(name, _)| name == "record");
    let line = record.and_then(|(_, value)| redis::from_redis_value(value).ok());
    Ok((id, line.unwrap_or_default()))
}

fn bad_result(problem: &InvalidValue) -> QueueError {
    QueueError::Answer {
        request: "results",
        problem: problem.to_string(),
    }
}
