//! The answers to requests under a lease: record, renew, complete, release, fail.

use super::error::QueueError;
use super::reply::Reply;

/// The answer to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordReply {
    /// It is stored.
    Stored,
    /// The sample had a record already, perhaps this very one.
    Duplicate,
    /// The lease has ended; nothing was written.
    Lost,
}

/// The answer to a worker that reports its job as complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompleteReply {
    /// The job is complete now.
    Completed,
    /// The job was complete before.
    AlreadyCompleted,
    /// These samples are next, counted from 0 within the job; the lease continues. A server that
    /// lost its last second asks again for the records of that second. A job that lost a worker
    /// continues sample by sample.
    Continue {
        /// The samples to certify next.
        todo: Vec<u64>,
    },
    /// The samples that are left have lost workers too often: the job is dead.
    GivenUp,
    /// The lease has ended.
    Lost,
}

/// The answer to a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewReply {
    /// The lease lasts its full time from now.
    Renewed,
    /// The lease has ended: the job was completed, or is no longer this worker's.
    Lost,
}

/// The answer to a worker that hands its job back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseReply {
    /// The job is at the head of the queue, and not charged.
    Released,
    /// No sample was left to do, so the job is completed.
    Completed,
    /// The lease had ended.
    Lost,
}

/// The answer to a worker that reports a failed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailReply {
    /// The job gets another attempt.
    Requeued,
    /// This was the last attempt.
    Dead,
    /// No sample was left to do, so the job is completed.
    Completed,
    /// The lease had ended.
    Lost,
}

impl RecordReply {
    pub(super) fn read(mut reply: Reply) -> Result<Self, QueueError> {
        match reply.word()?.as_str() {
            "stored" => Ok(Self::Stored),
            "duplicate" => Ok(Self::Duplicate),
            "lost" => Ok(Self::Lost),
            word => Err(reply.unknown(word)),
        }
    }
}

impl CompleteReply {
    pub(super) fn read(mut reply: Reply) -> Result<Self, QueueError> {
        match reply.word()?.as_str() {
            "completed" => Ok(Self::Completed),
            "already" => Ok(Self::AlreadyCompleted),
            "incomplete" => reply.take().map(|missing| Self::Continue { todo: missing }),
            "given_up" => Ok(Self::GivenUp),
            "lost" => Ok(Self::Lost),
            word => Err(reply.unknown(word)),
        }
    }
}

impl RenewReply {
    pub(super) fn read(mut reply: Reply) -> Result<Self, QueueError> {
        match reply.word()?.as_str() {
            "renewed" => Ok(Self::Renewed),
            "lost" => Ok(Self::Lost),
            word => Err(reply.unknown(word)),
        }
    }
}

impl ReleaseReply {
    pub(super) fn read(mut reply: Reply) -> Result<Self, QueueError> {
        match reply.word()?.as_str() {
            "released" => Ok(Self::Released),
            "completed" => Ok(Self::Completed),
            "lost" => Ok(Self::Lost),
            word => Err(reply.unknown(word)),
        }
    }
}

impl FailReply {
    pub(super) fn read(mut reply: Reply) -> Result<Self, QueueError> {
        match reply.word()?.as_str() {
            "requeued" => Ok(Self::Requeued),
            "dead" => Ok(Self::Dead),
            "completed" => Ok(Self::Completed),
            "lost" => Ok(Self::Lost),
            word => Err(reply.unknown(word)),
        }
    }
}
