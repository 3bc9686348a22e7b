//! `status`: the progress of sweeps, their workers and their dead jobs.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use ddrs_common::domain::SweepId;
use ddrs_common::queue::{
    DeadJob, QueueClient, ServerSettings, SweepProgress, SweepQueue, SweepState, WorkerSeen,
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::message_of;
use crate::dead::SlotNames;
use crate::progress::{duration_text, rate_text};
use ddrs_common::cli::ExitCode;
use ddrs_common::cli::OutputFormat;
use ddrs_common::output::{print, print_json};
use ddrs_common::terminal::plain;

/// Time between two looks of `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(2);
/// Time for which a request about one sweep of several is repeated: the others wait meanwhile.
const ONE_OF_MANY: Duration = Duration::from_secs(2);
/// Longest time for all requests about one sweep of several.
const LONGEST_LOOK: Duration = Duration::from_secs(15);
/// The silence after which an idle worker counts as lost: it asks for a job several times per
/// second.
const GONE: Duration = Duration::from_secs(5);

/// Shows one sweep, or all.
///
/// # Errors
/// When the sweep is unknown or Redis fails.
pub(crate) async fn status(
    sweep: Option<SweepId>,
    watch: bool,
    server: &ServerSettings,
    format: OutputFormat,
) -> Result<ExitCode> {
    let mut rates = RateMeter::default();
    loop {
        let summaries = summaries(sweep.as_ref(), server, &mut rates).await?;
        match format {
            OutputFormat::Json => print_json(&json_of(&summaries, sweep.is_some()))?,
            OutputFormat::Text => print(&text_of(&summaries))?,
        }
        if !watch || summaries.iter().all(SweepSummary::ended) {
            return Ok(ExitCode::Complete);
        }
        sleep(WATCH_EVERY).await;
    }
}

/// Reads one sweep, or all.
async fn summaries(
    sweep: Option<&SweepId>,
    server: &ServerSettings,
    rates: &mut RateMeter,
) -> Result<Vec<SweepSummary>> {
    let client = QueueClient::connect(server).await?;
    match sweep {
        Some(id) => Ok(vec![look(&client.sweep(id), rates).await?]),
        None => look_at_all(&client, rates).await,
    }
}

/// Returns one object for a named sweep, and an array for all sweeps.
fn json_of(summaries: &[SweepSummary], one: bool) -> Value {
    let mut all = summaries.iter().map(SweepSummary::json);
    if one {
        all.next().unwrap_or_default()
    } else {
        all.collect()
    }
}

fn text_of(summaries: &[SweepSummary]) -> String {
    if summaries.is_empty() {
        return "no sweeps\n".to_owned();
    }
    summaries.iter().map(SweepSummary::text).collect()
}

/// Reads every sweep that can be read. A sweep of another version, damaged or out of reach must not
/// hide the others.
async fn look_at_all(client: &QueueClient, rates: &mut RateMeter) -> Result<Vec<SweepSummary>> {
    let client = client.with_patience(ONE_OF_MANY);
    let mut states = Vec::new();
    for id in client.sweeps().await? {
        let queue = client.sweep(&id);
        match timeout(LONGEST_LOOK, look(&queue, rates)).await {
            Ok(Ok(state)) => states.push(state),
            Ok(Err(error)) => warn!("sweep {id}: {error:#}"),
            Err(_) => warn!("sweep {id}: no answer within {} s", LONGEST_LOOK.as_secs()),
        }
    }
    Ok(states)
}

/// Reads one sweep.
async fn look(queue: &SweepQueue, rates: &mut RateMeter) -> Result<SweepSummary> {
    let message = message_of(queue).await?;
    let sweep = message.sweep()?;
    let names = SlotNames::of(&sweep, &message.plan()?);
    let status = queue.status();
    let progress = status.progress().await?;
    let rate = rates.rate(queue.id(), progress.done);
    Ok(SweepSummary {
        id: queue.id().clone(),
        names,
        name: sweep.name,
        workers: status.workers().await?,
        dead: status.dead_jobs().await?,
        rate: rate.or_else(|| since_submission(&progress)),
        progress,
    })
}

/// Returns the mean rate since the sweep was submitted, for the first look.
fn since_submission(progress: &SweepProgress) -> Option<f64> {
    (progress.done > 0).then(|| progress.done as f64 / progress.age.as_secs_f64().max(1e-3))
}

/// The rates between two looks.
#[derive(Default)]
struct RateMeter(HashMap<SweepId, (Instant, u64)>);

impl RateMeter {
    fn rate(&mut self, id: &SweepId, done: u64) -> Option<f64> {
        let now = Instant::now();
        let (then, before) = self.0.insert(id.clone(), (now, done))?;
        Some((done - before.min(done)) as f64 / (now - then).as_secs_f64())
    }
}

/// The state of one sweep.
struct SweepSummary {
    id: SweepId,
    name: String,
    progress: SweepProgress,
    workers: Vec<WorkerSeen>,
    dead: Vec<DeadJob>,
    names: SlotNames,
    rate: Option<f64>,
}

impl SweepSummary {
    /// Returns true if no sample will be certified any more, collected or not.
    fn ended(&self) -> bool {
        SweepProgress {
            uncollected: 0,
            ..self.progress
        }
        .ended()
    }

    fn state(&self) -> &'static str {
        match self.progress.state {
            SweepState::Cancelled => "cancelled",
            SweepState::Active if self.ended() && self.progress.dead > 0 => "ended, with dead jobs",
            SweepState::Active if self.ended() => "ended",
            SweepState::Active => "active",
        }
    }

    /// Returns the time left; `None` if it is unknown or too long to represent.
    fn left(&self) -> Option<Duration> {
        if self.progress.state == SweepState::Cancelled {
            return None;
        }
        let rate = self.rate.filter(|&rate| rate > 0.0)?;
        let left = self.progress.slots.saturating_sub(self.progress.done);
        Duration::try_from_secs_f64(left as f64 / rate).ok()
    }

    fn text(&self) -> String {
        let mut text = format!("{} {} ({})\n", self.id, plain(&self.name), self.state());
        text += &self.samples_line();
        text += &self.jobs_line();
        text += &self.charge_lines();
        text.extend(self.workers.iter().map(worker_line));
        text.extend(self.dead.iter().map(|dead| self.dead_line(dead)));
        text
    }

    fn samples_line(&self) -> String {
        let p = &self.progress;
        let mut text = format!("  samples  {} of {} done", p.done, p.slots);
        if let (Some(rate), Some(left)) = (self.rate, self.left()) {
            let _ = write!(text, ", {}, {} left", rate_text(rate), duration_text(left));
        }
        let _ = write!(text, ", {} failed", p.failed);
        text + &format!(", {} not collected yet\n", p.uncollected)
    }

    fn jobs_line(&self) -> String {
        let p = &self.progress;
        let lapsed = match p.lapsed {
            0 => String::new(),
            lapsed => format!(" ({lapsed} lapsed)"),
        };
        format!(
            "  jobs     {} pending, {} leased{lapsed}, {} completed, {} dead\n",
            p.pending, p.leased, p.completed, p.dead
        )
    }

    fn charge_lines(&self) -> String {
        let p = &self.progress;
        let mut text = String::new();
        if p.crashes + p.errors > 0 {
            text += "  charged  ";
            text += &format!("{} lost leases, {} errors\n", p.crashes, p.errors);
        }
        if p.refused > 0 {
            text += "  refused  ";
            text += &format!("{} requests of workers whose lease was over\n", p.refused);
        }
        text
    }

    fn dead_line(&self, dead: &DeadJob) -> String {
        let reason = self.names.reason(dead);
        format!(
            "  dead     job {}: {} samples missing: {}\n",
            dead.job,
            dead.missing,
            plain(&reason)
        )
    }

    fn json(&self) -> Value {
        let p = &self.progress;
        let workers: Value = self.workers.iter().map(worker_json).collect();
        let dead_jobs: Value = self.dead.iter().map(|dead| self.dead_json(dead)).collect();
        json!({
            "sweep": self.id.as_str(), "name": self.name, "state": self.state(),
            "samples": p.slots, "done": p.done, "failed": p.failed, "uncollected": p.uncollected,
            "jobs": p.jobs, "pending": p.pending, "leased": p.leased, "lapsed": p.lapsed,
            "completed": p.completed, "dead": p.dead,
            "crashes": p.crashes, "errors": p.errors, "refused": p.refused,
            "samples_per_second": self.rate,
            "seconds_left": self.left().map(|left| left.as_secs_f64()),
            "workers": workers, "dead_jobs": dead_jobs,
        })
    }

    fn dead_json(&self, dead: &DeadJob) -> Value {
        json!({
            "job": dead.job.0, "reason": self.names.reason(dead),
            "killers": self.names.killers(dead), "crashes": dead.crashes, "errors": dead.errors,
            "worker": dead.worker, "missing": dead.missing,
        })
    }
}

fn worker_line(worker: &WorkerSeen) -> String {
    let job = match worker.job {
        Some(job) => format!("job {job}"),
        None if worker.silent < GONE => "idle".to_owned(),
        None => "lost, or at another sweep".to_owned(),
    };
    let name = plain(&worker.name);
    let silent = duration_text(worker.silent);
    format!("  worker   {name} ({job}, last seen {silent} ago)\n")
}

fn worker_json(worker: &WorkerSeen) -> Value {
    json!({
        "name": worker.name, "silent_seconds": worker.silent.as_secs_f64(),
        "job": worker.job.map(|job| job.0),
    })
}
