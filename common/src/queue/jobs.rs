//! Single jobs: their state, why they were given up, and their events.

use std::time::Duration;

use serde::Deserialize;

use super::error::QueueError;
use super::ids::{StreamId, Timestamp};
use super::reply::Reply;
use crate::domain::JobId;

/// A job that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadJob {
    /// The job.
    pub job: JobId,
    /// The reason why its last attempt ended.
    pub reason: String,
    /// The time of the end.
    pub at: Timestamp,
    /// Number of workers that it lost.
    pub crashes: u32,
    /// Number of attempts that ended with an error.
    pub errors: u32,
    /// The last worker that had it.
    pub worker: String,
    /// Number of samples without a record.
    pub missing: u64,
    /// The first slot without a record.
    pub next_slot: u64,
    /// Samples that lost a worker while it certified nothing else, by slot.
    pub crash_suspects: Vec<CrashSuspect>,
}

/// A sample that lost a worker while it certified nothing else. The cause is the sample or the
/// machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "(u64, u32)")]
pub struct CrashSuspect {
    /// The sample.
    pub slot: u64,
    /// Number of workers lost.
    pub crashes: u32,
}

impl From<(u64, u32)> for CrashSuspect {
    fn from((slot, crashes): (u64, u32)) -> Self {
        Self { slot, crashes }
    }
}

/// The wire form of [`DeadJob`], without the job.
#[derive(Deserialize)]
struct DeadJson {
    reason: String,
    at: u64,
    crashes: u32,
    errors: u32,
    worker: String,
    missing: u64,
    next_slot: u64,
    #[serde(default, rename = "killers")]
    crash_suspects: Vec<CrashSuspect>,
}

/// The place of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// It waits for a worker.
    Pending,
    /// A worker has it.
    Leased {
        /// The worker's name.
        worker: String,
        /// The time of the claim.
        since: Timestamp,
        /// The time until the lease expires unless it is renewed.
        left: Duration,
        /// The slot of the one sample that the worker certifies; `None` if it may be any that is
        /// missing.
        isolated: Option<u64>,
    },
    /// It was given up.
    Dead(DeadJob),
    /// All its samples are done.
    Completed,
}

/// The state of a job and what it was charged so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// The place of the job.
    pub state: JobState,
    /// Number of workers lost; 0 once it is completed.
    pub crashes: u32,
    /// Number of attempts that ended with an error; 0 once it is completed.
    pub errors: u32,
    /// The slot of its first sample.
    pub first_slot: u64,
    /// Number of samples.
    pub samples: u64,
    /// The samples without a record, counted from 0 within the job.
    pub missing: Vec<u64>,
    /// The samples among them that lost a worker while it certified nothing else.
    pub crash_suspects: Vec<CrashSuspect>,
}

/// An event of a job other than its completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEvent {
    /// The time of the event.
    pub at: Timestamp,
    /// The kind of event.
    pub kind: EventKind,
    /// The worker that had the job; empty if no worker had it.
    pub worker: String,
    /// The time when that worker claimed it; equal to `at` if no worker had it.
    pub since: Timestamp,
    /// The reason, if one was given.
    pub detail: String,
}

/// Kinds of [`JobEvent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Its lease expired.
    Lapsed,
    /// Its worker reported an error.
    Failed,
    /// Its worker handed it back.
    Released,
    /// It was given up.
    Dead,
    /// It was dead and returned to the queue.
    Retried,
    /// One of its records was lost, so it returned to the queue.
    Reopened,
    /// A request was refused because the worker's lease had ended.
    Refused,
}

impl JobStatus {
    pub(super) fn read(job: JobId, mut reply: Reply) -> Result<Self, QueueError> {
        Ok(Self {
            crashes: reply.take()?,
            errors: reply.take()?,
            first_slot: reply.take()?,
            samples: reply.take()?,
            missing: reply.take()?,
            crash_suspects: read_suspects(&mut reply)?,
            state: JobState::read(job, &mut reply.nested()?)?,
        })
    }
}

fn read_suspects(reply: &mut Reply) -> Result<Vec<CrashSuspect>, QueueError> {
    let suspects: Vec<(u64, u32)> = reply.take()?;
    Ok(suspects.into_iter().map(CrashSuspect::from).collect())
}

impl JobState {
    fn read(job: JobId, reply: &mut Reply) -> Result<Self, QueueError> {
        match reply.word()?.as_str() {
            "pending" => Ok(Self::Pending),
            "completed" => Ok(Self::Completed),
            "dead" => DeadJob::read(job, &reply.word()?).map(Self::Dead),
            "leased" => Self::read_leased(reply),
            word => Err(reply.unknown(word)),
        }
    }

    fn read_leased(reply: &mut Reply) -> Result<Self, QueueError> {
        Ok(Self::Leased {
            worker: reply.take()?,
            since: Timestamp(reply.take()?),
            left: Duration::from_millis(reply.take()?),
            isolated: reply.take()?,
        })
    }
}

impl DeadJob {
    pub(super) fn read(job: JobId, json: &str) -> Result<Self, QueueError> {
        match serde_json::from_str(json) {
            Ok(json) => Ok(Self::from_json(job, json)),
            Err(error) => Err(QueueError::Answer {
                request: "dead",
                problem: format!("job {job}: {error}"),
            }),
        }
    }

    fn from_json(job: JobId, json: DeadJson) -> Self {
        Self {
            job,
            reason: json.reason,
            at: Timestamp(json.at),
            crashes: json.crashes,
            errors: json.errors,
            worker: json.worker,
            missing: json.missing,
            next_slot: json.next_slot,
            crash_suspects: json.crash_suspects,
        }
    }
}

/// The fields of an event, in the order in which they were written.
type Fields = Vec<(String, String)>;

impl JobEvent {
    /// Reads the events of one job among those of a sweep.
    pub(super) fn of_job(
        job: JobId,
        entries: &[(String, Fields)],
    ) -> Result<Vec<Self>, QueueError> {
        let job = job.to_string();
        let of_job = entries
            .iter()
            .filter(|(_, fields)| field(fields, "job") == job);
        of_job.map(|(id, fields)| Self::read(id, fields)).collect()
    }

    fn read(id: &str, fields: &Fields) -> Result<Self, QueueError> {
        let id: StreamId = id.parse().map_err(|problem| bad_event(&problem))?;
        let at = id.at();
        Ok(Self {
            at,
            kind: EventKind::read(field(fields, "what"))?,
            worker: field(fields, "worker").to_owned(),
            since: field(fields, "since").parse().map_or(at, Timestamp),
            detail: field(fields, "detail").to_owned(),
        })
    }
}

impl EventKind {
    fn read(word: &str) -> Result<Self, QueueError> {
        Ok(match word {
            "lapsed" => Self::Lapsed,
            "failed" => Self::Failed,
            "released" => Self::Released,
            "dead" => Self::Dead,
            "retried" => Self::Retried,
            "reopened" => Self::Reopened,
            "refused" => Self::Refused,
            word => return Err(bad_event(&format!("unknown event {word:?}"))),
        })
    }
}

fn bad_event(problem: &impl ToString) -> QueueError {
    QueueError::Answer {
        request: "events",
        problem: problem.to_string(),
    }
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    let found = fields.iter().find(|(key, _)| key == name);
    found.map_or("", |(_, value)| value)
}
