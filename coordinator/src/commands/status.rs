//! `status`: how far sweeps are, who works on them, and what has died.

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
use crate::dead::Names;
use crate::progress::{duration_text, rate_text};
use ddrs_common::cli::ExitCode;
use ddrs_common::cli::OutputFormat;
use ddrs_common::output::{print, print_json};
use ddrs_common::terminal::plain;

/// How often `--watch` looks again.
const WATCH_EVERY: Duration = Duration::from_secs(2);
/// How long a request about one sweep of all is repeated, and how long all of them may take: the
/// others wait meanwhile.
const ONE_OF_MANY: Duration = Duration::from_secs(2);
const LONGEST_LOOK: Duration = Duration::from_secs(15);
/// A worker without a job asks for one several times a second: one that is silent for so long does
/// not.
const GONE: Duration = Duration::from_secs(5);

/// Shows one sweep, or all.
///
/// # Errors
/// When the sweep is unknown or Redis fails.
pub async fn status(
    sweep: Option<SweepId>,
    watch: bool,
    server: &ServerSettings,
    format: OutputFormat,
) -> Result<ExitCode> {
    let mut pace = Pace::default();
    loop {
        let client = QueueClient::connect(server).await?;
        let states = match &sweep {
            Some(id) => vec![look(&client.sweep(id), &mut pace).await?],
            None => look_at_all(&client, &mut pace).await?,
        };
        match (format, &sweep) {
            (OutputFormat::Json, Some(_)) => print_json(&states[0].json())?,
            (OutputFormat::Json, None) => {
                print_json(&Value::Array(states.iter().map(State::json).collect()))?
            }
            (OutputFormat::Text, _) if states.is_empty() => print("no sweeps\n")?,
            (OutputFormat::Text, _) => print(&states.iter().map(State::text).collect::<String>())?,
        }
        if !watch || states.iter().all(State::ended) {
            return Ok(ExitCode::Complete);
        }
        sleep(WATCH_EVERY).await;
    }
}

/// Every sweep that can be looked at. One of another version, damaged or out of reach must not hide
/// the others.
async fn look_at_all(client: &QueueClient, pace: &mut Pace) -> Result<Vec<State>> {
    let client = client.with_patience(ONE_OF_MANY);
    let mut states = Vec::new();
    for id in client.sweeps().await? {
        let queue = client.sweep(&id);
        match timeout(LONGEST_LOOK, look(&queue, pace)).await {
            Ok(Ok(state)) => states.push(state),
            Ok(Err(error)) => warn!("sweep {id}: {error:#}"),
            Err(_) => warn!("sweep {id}: no answer within {} s", LONGEST_LOOK.as_secs()),
        }
    }
    Ok(states)
}

/// One sweep at this moment.
async fn look(queue: &SweepQueue, pace: &mut Pace) -> Result<State> {
    let message = message_of(queue).await?;
    let (sweep, plan) = (message.sweep()?, message.plan()?);
    let (progress, workers, dead) = (
        queue.status().progress().await?,
        queue.status().workers().await?,
        queue.status().dead_jobs().await?,
    );
    let rate = pace
        .rate(queue.id(), progress.done)
        .or_else(|| since_submission(&progress));
    let names = Names::of(&sweep, &plan);
    Ok(State {
        id: queue.id().clone(),
        names,
        name: sweep.name,
        progress,
        workers,
        dead,
        rate,
    })
}

/// The mean rate since the sweep was submitted: all that one look can tell.
fn since_submission(progress: &SweepProgress) -> Option<f64> {
    (progress.done > 0).then(|| progress.done as f64 / progress.age.as_secs_f64().max(1e-3))
}

/// Rates between two looks.
#[derive(Default)]
struct Pace(HashMap<SweepId, (Instant, u64)>);

impl Pace {
    fn rate(&mut self, id: &SweepId, done: u64) -> Option<f64> {
        let now = Instant::now();
        let (then, before) = self.0.insert(id.clone(), (now, done))?;
        Some((done - before.min(done)) as f64 / (now - then).as_secs_f64())
    }
}

struct State {
    id: SweepId,
    name: String,
    progress: SweepProgress,
    workers: Vec<WorkerSeen>,
    dead: Vec<DeadJob>,
    names: Names,
    rate: Option<f64>,
}

impl State {
    /// Whether nothing will be certified any more, collected or not.
    fn ended(&self) -> bool {
        SweepProgress {
            uncollected: 0,
            ..self.progress
        }
        .ended()
    }

    fn word(&self) -> &'static str {
        match self.progress.state {
            SweepState::Cancelled => "cancelled",
            SweepState::Active if self.ended() && self.progress.dead > 0 => "ended, with dead jobs",
            SweepState::Active if self.ended() => "ended",
            SweepState::Active => "active",
        }
    }

    fn left(&self) -> Option<Duration> {
        if self.progress.state == SweepState::Cancelled {
            return None;
        }
        let rate = self.rate.filter(|&rate| rate > 0.0)?;
        let left = self.progress.slots.saturating_sub(self.progress.done);
        // None for longer than any clock runs.
        Duration::try_from_secs_f64(left as f64 / rate).ok()
    }

    fn text(&self) -> String {
        let p = &self.progress;
        let mut text = format!("{} {} ({})\n", self.id, plain(&self.name), self.word());
        let _ = write!(text, "  samples  {} of {} done", p.done, p.slots);
        if let (Some(rate), Some(left)) = (self.rate, self.left()) {
            let _ = write!(text, ", {}, {} left", rate_text(rate), duration_text(left));
        }
        let _ = writeln!(
            text,
            ", {} failed, {} not collected yet",
            p.failed, p.uncollected
        );
        let lapsed = if p.lapsed > 0 {
            format!(" ({} lapsed)", p.lapsed)
        } else {
            String::new()
        };
        let _ = writeln!(
            text,
            "  jobs     {} pending, {} leased{lapsed}, {} completed, {} dead",
            p.pending, p.leased, p.completed, p.dead
        );
        if p.crashes + p.errors > 0 {
            let _ = writeln!(
                text,
                "  charged  {} lost leases, {} errors",
                p.crashes, p.errors
            );
        }
        if p.refused > 0 {
            let _ = writeln!(
                text,
                "  refused  {} requests of workers whose lease was over",
                p.refused
            );
        }
        for worker in &self.workers {
            let job = match worker.job {
                Some(job) => format!("job {job}"),
                None if worker.silent < GONE => "idle".to_owned(),
                None => "lost, or at another sweep".to_owned(),
            };
            let _ = writeln!(
                text,
                "  worker   {} ({job}, last seen {} ago)",
                plain(&worker.name),
                duration_text(worker.silent)
            );
        }
        for dead in &self.dead {
            let _ = writeln!(
                text,
                "  dead     job {}: {} samples missing: {}",
                dead.job,
                dead.missing,
                plain(&self.names.reason(dead))
            );
        }
        text
    }

    fn json(&self) -> Value {
        let p = &self.progress;
        let workers = self.workers.iter().map(|worker| {
            json!({"name": worker.name, "silent_seconds": worker.silent.as_secs_f64(), "job": worker.job.map(|job| job.0)})
        });
        let dead = self.dead.iter().map(|dead| {
            json!({"job": dead.job.0, "reason": self.names.reason(dead), "killers": self.names.killers(dead), "crashes": dead.crashes, "errors": dead.errors,
                   "worker": dead.worker, "missing": dead.missing})
        });
        json!({
            "sweep": self.id.as_str(), "name": self.name, "state": self.word(),
            "samples": p.slots, "done": p.done, "failed": p.failed, "uncollected": p.uncollected,
            "jobs": p.jobs, "pending": p.pending, "leased": p.leased, "lapsed": p.lapsed, "completed": p.completed, "dead": p.dead,
            "crashes": p.crashes, "errors": p.errors, "refused": p.refused,
            "samples_per_second": self.rate, "seconds_left": self.left().map(|left| left.as_secs_f64()),
            "workers": workers.collect::<Vec<_>>(), "dead_jobs": dead.collect::<Vec<_>>(),
        })
    }
}
