//! `why`: what happened to one sample.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use ddrs_common::domain::{Record, SampleIndex, SweepId};
use ddrs_common::queue::{EventKind, JobEvent, JobState, JobStatus, ServerSettings, Timestamp};
use ddrs_common::record_file::{self, to_line};
use serde_json::{Value, json};

use super::find;
use crate::dead::Names;
use crate::manifest::now;
use crate::progress::duration_text;
use crate::run_dir::RunDir;
use ddrs_common::cli::OutputFormat;
use ddrs_common::cli::{BadInput, BlameInput, ExitCode};
use ddrs_common::output::{print, print_json};
use ddrs_common::terminal::plain;

/// Which sample is asked about.
#[derive(Debug)]
pub struct Question {
    /// The sweep.
    pub sweep: SweepId,
    /// The variant's name.
    pub variant: String,
    /// The sample's index in the dataset.
    pub index: u64,
    /// The folder that the sweep is collected into.
    pub out: Option<PathBuf>,
}

/// Where the sample's job is, what happened to it, and the record if it is at hand.
///
/// # Errors
/// When the sweep has no such sample, or Redis fails.
pub async fn why(
    question: &Question,
    server: &ServerSettings,
    format: OutputFormat,
) -> Result<ExitCode> {
    let (queue, message) = find(server, &question.sweep).await?;
    let (sweep, plan) = (message.sweep()?, message.plan()?);
    let names: Vec<String> = sweep
        .variants()
        .iter()
        .map(|variant| variant.name.to_string())
        .collect();
    let Some(variant) = names.iter().position(|name| *name == question.variant) else {
        let reason = format!(
            "the sweep has no variant {}; it has {}",
            question.variant,
            names.join(", ")
        );
        return Err(BadInput::new(reason).into());
    };
    let Some(position) = plan.position(SampleIndex(question.index)) else {
        let last = plan.index(plan.samples() - 1);
        let reason = format!(
            "the sweep does not take index {}; it takes {} to {last}",
            question.index,
            plan.index(0)
        );
        return Err(BadInput::new(reason).into());
    };
    let slot = plan.slot(variant, position);
    let job = plan.job_of(slot);
    let told = Told {
        done: queue.status().done_bits().await?.contains(slot),
        slot,
        names: Names::of(&sweep, &plan),
        job: job.0,
        status: queue.status().job(job).await?,
        trail: queue.status().job_events(job).await?,
        record: record(question)?,
    };
    match format {
        OutputFormat::Text => print(&told.text())?,
        OutputFormat::Json => print_json(&told.json())?,
    }
    Ok(ExitCode::Complete)
}

fn record(question: &Question) -> Result<Option<Record>> {
    let Some(out) = &question.out else {
        return Ok(None);
    };
    let dir = RunDir::new(out);
    let held = dir.manifest().blame_input()?.sweep.id;
    if held != question.sweep {
        return Err(BadInput::new(format!("{} holds sweep {held}", out.display())).into());
    }
    let records = record_file::read(&dir.records())?;
    Ok(records
        .into_iter()
        .find(|r| r.index.0 == question.index && r.variant.as_str() == question.variant))
}

struct Told {
    done: bool,
    slot: u64,
    names: Names,
    job: u32,
    status: JobStatus,
    trail: Vec<JobEvent>,
    record: Option<Record>,
}

impl Told {
    fn state(&self) -> &'static str {
        match &self.status.state {
            _ if self.done => "done",
            JobState::Pending => "pending",
            JobState::Leased { .. } => "leased",
            JobState::Dead(_) => "dead",
            JobState::Completed => "done",
        }
    }

    /// How many workers were lost while they were at this sample alone, if any.
    fn workers_lost(&self) -> Option<u32> {
        self.status
            .crash_suspects
            .iter()
            .find(|killer| killer.slot == self.slot)
            .map(|killer| killer.crashes)
    }

    fn text(&self) -> String {
        let mut text = format!("{}: job {}", self.state(), self.job);
        match &self.status.state {
            JobState::Leased {
                worker,
                since,
                left,
                ..
            } => {
                let _ = write!(
                    text,
                    ", at {} since {}, lease for {}",
                    plain(worker),
                    ago(*since),
                    duration_text(*left)
                );
            }
            JobState::Dead(dead) => {
                let _ = write!(
                    text,
                    ", given up {}: {}",
                    ago(dead.at),
                    plain(&self.names.reason(dead))
                );
            }
            JobState::Pending | JobState::Completed => {}
        }
        let status = &self.status;
        let missing = status.missing.len();
        let _ = writeln!(
            text,
            "; {missing} of its {} samples are missing, {} lost leases, {} errors",
            status.samples, status.crashes, status.errors
        );
        // Of a dead job the reason says it.
        if let (Some(times), false) = (
            self.workers_lost(),
            matches!(status.state, JobState::Dead(_)),
        ) {
            let _ = writeln!(
                text,
                "  workers lost while they were at this sample alone: {times}"
            );
        }
        for event in &self.trail {
            let mut line = format!(
                "  {}: {} {}",
                ago(event.at),
                word(event.kind),
                plain(&event.worker)
            );
            // Why it was given up is what the lines before tell.
            if event.kind != EventKind::Dead {
                let _ = write!(line, " {}", plain(&event.detail));
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        if let Some(record) = &self.record {
            let _ = writeln!(text, "{}", plain(&to_line(record)));
        }
        text
    }

    fn json(&self) -> Value {
        let trail = self.trail.iter().map(
            |event| json!({"at": event.at.0, "what": word(event.kind), "worker": event.worker, "detail": event.detail}),
        );
        let (worker, reason) = match &self.status.state {
            JobState::Leased { worker, .. } => (Some(worker), None),
            JobState::Dead(dead) => (Some(&dead.worker), Some(self.names.reason(dead))),
            JobState::Pending | JobState::Completed => (None, None),
        };
        json!({
            "state": self.state(), "job": self.job, "worker": worker, "reason": reason,
            "workers_lost": self.workers_lost(), "crashes": self.status.crashes, "errors": self.status.errors, "missing": self.status.missing.len(),
            "trail": trail.collect::<Vec<_>>(),
            "record": self.record.as_ref().and_then(|record| serde_json::from_str::<Value>(&to_line(record)).ok()),
        })
    }
}

fn word(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Lapsed => "its worker fell silent:",
        EventKind::Failed => "failed at",
        EventKind::Released => "handed back by",
        EventKind::Dead => "given up after",
        EventKind::Retried => "put back into the queue",
        EventKind::Reopened => "opened again, its record was lost",
        EventKind::Refused => "too late, refused:",
    }
}

fn ago(moment: Timestamp) -> String {
    let past = now().saturating_sub(moment.0 / 1000);
    format!(
        "{} ago",
        duration_text(std::time::Duration::from_secs(past))
    )
}
