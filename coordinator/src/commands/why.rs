//! `why`: explains the state of one sample and the events of its job.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use ddrs_common::domain::{Record, SampleIndex, SweepId};
use ddrs_common::plan::Plan;
use ddrs_common::queue::{EventKind, JobEvent, JobState, JobStatus, ServerSettings, Timestamp};
use ddrs_common::record_file::{self, to_line};
use ddrs_common::spec::Sweep;
use serde_json::{Value, json};

use super::find;
use crate::dead::SlotNames;
use crate::manifest::now;
use crate::progress::duration_text;
use crate::run_dir::RunDir;
use ddrs_common::cli::OutputFormat;
use ddrs_common::cli::{BadInput, BlameInput, ExitCode};
use ddrs_common::output::{print, print_json};
use ddrs_common::terminal::plain;

/// The sample to explain.
#[derive(Debug)]
pub(crate) struct Question {
    /// The sweep.
    pub(crate) sweep: SweepId,
    /// The variant's name.
    pub(crate) variant: String,
    /// The sample's index in the dataset.
    pub(crate) index: u64,
    /// The folder that the sweep is collected into.
    pub(crate) out: Option<PathBuf>,
}

/// Prints where the sample's job is, its events, and the record if the folder has it.
///
/// # Errors
/// When the sweep has no such sample, or Redis fails.
pub(crate) async fn why(
    question: &Question,
    server: &ServerSettings,
    format: OutputFormat,
) -> Result<ExitCode> {
    let (queue, message) = find(server, &question.sweep).await?;
    let sweep = message.sweep()?;
    let plan = message.plan()?;
    let slot = question.slot(&sweep, &plan)?;
    let job = plan.job_of(slot);
    let status = queue.status();
    let explanation = Explanation {
        done: status.done_bits().await?.contains(slot),
        slot,
        names: SlotNames::of(&sweep, &plan),
        job: job.0,
        status: status.job(job).await?,
        events: status.job_events(job).await?,
        record: question.record()?,
    };
    match format {
        OutputFormat::Text => print(&explanation.text())?,
        OutputFormat::Json => print_json(&explanation.json())?,
    }
    Ok(ExitCode::Complete)
}

impl Question {
    fn slot(&self, sweep: &Sweep, plan: &Plan) -> Result<u64, BadInput> {
        let variant = self.variant_place(sweep)?;
        let position = plan.position(SampleIndex(self.index));
        let position = position.ok_or_else(|| self.unknown_index(plan))?;
        Ok(plan.slot(variant, position))
    }

    fn variant_place(&self, sweep: &Sweep) -> Result<usize, BadInput> {
        let variants = sweep.variants();
        let names: Vec<&str> = variants
            .iter()
            .map(|variant| variant.name.as_str())
            .collect();
        let place = names.iter().position(|name| *name == self.variant);
        place.ok_or_else(|| {
            let known = names.join(", ");
            BadInput::new(format!(
                "the sweep has no variant {}; it has {known}",
                self.variant
            ))
        })
    }

    fn unknown_index(&self, plan: &Plan) -> BadInput {
        let first = plan.index(0);
        let last = plan.index(plan.samples() - 1);
        let index = self.index;
        BadInput::new(format!(
            "the sweep does not take index {index}; it takes {first} to {last}"
        ))
    }

    /// Returns the record in the folder, if one was named.
    fn record(&self) -> Result<Option<Record>> {
        let Some(out) = &self.out else {
            return Ok(None);
        };
        let dir = RunDir::new(out);
        let held = dir.manifest().blame_input()?.sweep.id;
        if held != self.sweep {
            return Err(BadInput::new(format!("{} holds sweep {held}", out.display())).into());
        }
        let mut records = record_file::read(&dir.records())?.into_iter();
        Ok(records.find(|record| self.asks_for(record)))
    }

    fn asks_for(&self, record: &Record) -> bool {
        record.index.0 == self.index && record.variant.as_str() == self.variant
    }
}

/// The state of a sample, and what led to it.
struct Explanation {
    done: bool,
    slot: u64,
    names: SlotNames,
    job: u32,
    status: JobStatus,
    events: Vec<JobEvent>,
    record: Option<Record>,
}

impl Explanation {
    fn state(&self) -> &'static str {
        match &self.status.state {
            _ if self.done => "done",
            JobState::Pending => "pending",
            JobState::Leased { .. } => "leased",
            JobState::Dead(_) => "dead",
            JobState::Completed => "done",
        }
    }

    /// Returns the number of workers that were lost while they certified this sample alone, if any.
    fn workers_lost(&self) -> Option<u32> {
        let mut suspects = self.status.crash_suspects.iter();
        let suspect = suspects.find(|suspect| suspect.slot == self.slot)?;
        Some(suspect.crashes)
    }

    fn text(&self) -> String {
        let mut text = format!("{}: job {}", self.state(), self.job);
        text += &self.place_text();
        text += &self.counts_text();
        text.extend(self.events.iter().map(event_line));
        if let Some(record) = &self.record {
            let _ = writeln!(text, "{}", plain(&to_line(record)));
        }
        text
    }

    fn place_text(&self) -> String {
        match &self.status.state {
            JobState::Leased {
                worker,
                since,
                left,
                ..
            } => {
                let since = ago(*since);
                let left = duration_text(*left);
                format!(", at {} since {since}, lease for {left}", plain(worker))
            }
            JobState::Dead(dead) => {
                let reason = self.names.reason(dead);
                format!(", given up {}: {}", ago(dead.at), plain(&reason))
            }
            JobState::Pending | JobState::Completed => String::new(),
        }
    }

    fn counts_text(&self) -> String {
        let status = &self.status;
        let mut text = format!(
            "; {} of its {} samples are missing, {} lost leases, {} errors\n",
            status.missing.len(),
            status.samples,
            status.crashes,
            status.errors
        );
        // The reason of a dead job says it already.
        let is_dead = matches!(status.state, JobState::Dead(_));
        if let Some(times) = self.workers_lost().filter(|_| !is_dead) {
            text += "  workers lost while they were at this sample alone: ";
            text += &format!("{times}\n");
        }
        text
    }

    fn json(&self) -> Value {
        let trail: Value = self.events.iter().map(event_json).collect();
        json!({
            "state": self.state(), "job": self.job, "worker": self.worker(),
            "reason": self.reason(), "workers_lost": self.workers_lost(),
            "crashes": self.status.crashes, "errors": self.status.errors,
            "missing": self.status.missing.len(), "trail": trail, "record": self.record_json(),
        })
    }

    fn worker(&self) -> Option<&str> {
        match &self.status.state {
            JobState::Leased { worker, .. } => Some(worker),
            JobState::Dead(dead) => Some(&dead.worker),
            JobState::Pending | JobState::Completed => None,
        }
    }

    fn reason(&self) -> Option<String> {
        match &self.status.state {
            JobState::Dead(dead) => Some(self.names.reason(dead)),
            _ => None,
        }
    }

    fn record_json(&self) -> Option<Value> {
        serde_json::from_str(&to_line(self.record.as_ref()?)).ok()
    }
}

fn event_line(event: &JobEvent) -> String {
    let what = description(event.kind);
    let worker = plain(&event.worker);
    let mut line = format!("  {}: {what} {worker}", ago(event.at));
    // The lines before say why a job was given up.
    if event.kind != EventKind::Dead {
        let _ = write!(line, " {}", plain(&event.detail));
    }
    format!("{}\n", line.trim_end())
}

fn event_json(event: &JobEvent) -> Value {
    json!({
        "at": event.at.0, "what": description(event.kind), "worker": event.worker,
        "detail": event.detail,
    })
}

fn description(kind: EventKind) -> &'static str {
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
    format!("{} ago", duration_text(Duration::from_secs(past)))
}
