//! Looking at single jobs: where they are, why they were given up, what happened to them.

use std::time::Duration;

use serde::Deserialize;

use super::error::QueueError;
use super::ids::{StreamId, Timestamp};
use super::reply::Reply;
use super::scripts::INSPECT;
use super::sweep::SweepQueue;
use crate::domain::JobId;

/// A job that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadJob {
    /// The job.
    pub job: JobId,
    /// What ended its last attempt.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// How many workers it lost.
    pub crashes: u32,
    /// How often it failed.
    pub errors: u32,
    /// Who had it last.
    pub worker: String,
    /// How many of its samples have no record.
    pub missing: u64,
    /// The first slot without one.
    pub next_slot: u64,
    /// Samples that lost a worker that was at nothing else, by slot.
    pub killers: Vec<Killer>,
}

/// A sample that lost a worker that was at nothing else: only the machine is as suspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "(u64, u32)")]
pub struct Killer {
    /// The sample.
    pub slot: u64,
    /// How many workers.
    pub times: u32,
}

impl From<(u64, u32)> for Killer {
    fn from((slot, times): (u64, u32)) -> Self {
        Self { slot, times }
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
    #[serde(default)]
    killers: Vec<Killer>,
}

/// Where a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// It waits.
    Pending,
    /// A worker has it.
    Leased {
        /// Who.
        worker: String,
        /// Since when.
        since: Timestamp,
        /// For how long, unless it is renewed.
        left: Duration,
        /// The slot of the one sample that the worker is at; none: it may be at all that are
        /// missing.
        alone: Option<u64>,
    },
    /// It was given up.
    Dead(DeadJob),
    /// All its samples are done.
    Completed,
}

/// A job and what happened to it so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// Where it is.
    pub state: JobState,
    /// How many workers it lost; 0 once it is completed.
    pub crashes: u32,
    /// How often it failed; 0 once it is completed.
    pub errors: u32,
    /// The slot of its first sample.
    pub first_slot: u64,
    /// How many samples it has.
    pub samples: u64,
    /// Those without a record, counted from 0 within the job.
    pub missing: Vec<u64>,
    /// Those among them that lost a worker that was at nothing else.
    pub killers: Vec<Killer>,
}

/// Something that happened to a job other than being completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// Who had it; empty if nobody.
    pub worker: String,
    /// When that worker claimed it; if nobody had it, as `at`.
    pub since: Timestamp,
    /// The reason, if there is one.
    pub detail: String,
}

/// Kinds of [`Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Its worker fell silent.
    Lapsed,
    /// Its worker reported an error.
    Failed,
    /// Its worker handed it back.
    Released,
    /// It was given up.
    Dead,
    /// It came back from the dead.
    Retried,
    /// A record of it was lost, so it was put back.
    Reopened,
    /// A worker whose lease was over wanted to write, and could not.
    Refused,
}

impl SweepQueue {
    /// The jobs that were given up, by number.
    pub async fn dead(&self) -> Result<Vec<DeadJob>, QueueError> {
        let dead: Vec<(u32, String)> = self
            .query(redis::cmd("HGETALL").arg(self.key("dead")))
            .await?;
        let mut dead: Vec<DeadJob> = dead
            .into_iter()
            .map(|(job, json)| DeadJob::read(JobId(job), &json))
            .collect::<Result<_, _>>()?;
        dead.sort_by_key(|dead| dead.job);
        Ok(dead)
    }

    /// Where a job is.
    ///
    /// # Errors
    /// Also when the sweep has no such job.
    pub async fn job_status(&self, job: JobId) -> Result<JobStatus, QueueError> {
        let mut reply = self.run(&self.call(&INSPECT).arg(job.0)).await?;
        Ok(JobStatus {
            crashes: reply.take()?,
            errors: reply.take()?,
            first_slot: reply.take()?,
            samples: reply.take()?,
            missing: reply.take()?,
            killers: reply
                .take::<Vec<(u64, u32)>>()?
                .into_iter()
                .map(Killer::from)
                .collect(),
            state: JobState::read(job, &mut reply.nested()?)?,
        })
    }

    /// What happened to a job, oldest first. Of a sweep the last 10,000 events or so are kept.
    pub async fn trail(&self, job: JobId) -> Result<Vec<Event>, QueueError> {
        let command = redis::cmd("XRANGE")
            .arg(self.key("events"))
            .arg("-")
            .arg("+")
            .to_owned();
        let entries: Vec<(String, Vec<(String, String)>)> = self.query(&command).await?;
        let number = job.to_string();
        let of_job = |fields: &[(String, String)]| field(fields, "job") == number;
        entries
            .iter()
            .filter(|(_, fields)| of_job(fields))
            .map(|(id, fields)| Event::read(id, fields))
            .collect()
    }
}

impl JobState {
    fn read(job: JobId, reply: &mut Reply) -> Result<Self, QueueError> {
        Ok(match reply.word()?.as_str() {
            "pending" => Self::Pending,
            "completed" => Self::Completed,
            "dead" => Self::Dead(DeadJob::read(job, &reply.word()?)?),
            "leased" => Self::Leased {
                worker: reply.take()?,
                since: Timestamp(reply.take()?),
                left: Duration::from_millis(reply.take()?),
                alone: reply.take()?,
            },
            word => return Err(reply.unknown(word)),
        })
    }
}

impl DeadJob {
    fn read(job: JobId, json: &str) -> Result<Self, QueueError> {
        let problem = |error: serde_json::Error| QueueError::Answer {
            request: "dead",
            problem: format!("job {job}: {error}"),
        };
        let DeadJson {
            reason,
            at,
            crashes,
            errors,
            worker,
            missing,
            next_slot,
            killers,
        } = serde_json::from_str(json).map_err(problem)?;
        Ok(Self {
            job,
            reason,
            at: Timestamp(at),
            crashes,
            errors,
            worker,
            missing,
            next_slot,
            killers,
        })
    }
}

impl Event {
    fn read(id: &str, fields: &[(String, String)]) -> Result<Self, QueueError> {
        let problem = |problem: String| QueueError::Answer {
            request: "trail",
            problem,
        };
        let at = id
            .parse::<StreamId>()
            .map_err(|error| problem(error.to_string()))?
            .at();
        let kind = match field(fields, "what") {
            "lapsed" => EventKind::Lapsed,
            "failed" => EventKind::Failed,
            "released" => EventKind::Released,
            "dead" => EventKind::Dead,
            "retried" => EventKind::Retried,
            "reopened" => EventKind::Reopened,
            "refused" => EventKind::Refused,
            word => return Err(problem(format!("unknown event {word:?}"))),
        };
        let since = field(fields, "since").parse().map_or(at, Timestamp);
        Ok(Self {
            at,
            kind,
            worker: field(fields, "worker").into(),
            since,
            detail: field(fields, "detail").into(),
        })
    }
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields
        .iter()
        .find(|(key, _)| key == name)
        .map_or("", |(_, value)| value)
}
