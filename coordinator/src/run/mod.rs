//! `run`: everything in one command. Submits, starts local workers, shows progress, collects records as they arrive,
//! writes the reports and prints the table. Run again after a crash or an interruption, it goes on where it stopped.

mod workers;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ddrs_common::queue::{PrivateServer, QueueClient, SweepQueue};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::cli::RunArgs;
use crate::collect::Collector;
use crate::commands;
use crate::exit::Exit;
use crate::output::print;
use crate::prepare::{Prepared, prepare};
use crate::progress::Progress;
use crate::run_dir::RunDir;
use crate::tables;
pub use workers::program as worker_program;
use workers::{WorkerSettings, Workers, default_count};

/// How often records are collected and workers looked after.
const TICK: Duration = Duration::from_millis(100);
/// How long workers may take to hand their jobs back.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Runs the sweep to its end, or to an interruption.
///
/// # Errors
/// [`crate::exit::BadInput`] when specification, data or models cannot be used; otherwise what failed. The folder stays
/// as it is and the same command goes on.
pub async fn run(args: RunArgs, log_format: &'static str) -> Result<Exit> {
    let prepared = prepare(&args.spec)?;
    let dir = RunDir::new(args.out.clone());
    dir.claim(&prepared.message)?;
    let mut collector = Collector::open(&dir.records(), &prepared.sweep, &prepared.plan)?;
    if collector.tally().records == prepared.plan.slots() {
        info!("all {} records are there already", prepared.plan.slots());
        return conclude(&dir, &collector, prepared.plan.slots());
    }

    let private = match &args.redis {
        Some(_) => None,
        None => Some(PrivateServer::start(&dir.redis()).await?),
    };
    let url = private.as_ref().map_or_else(|| args.redis.clone().unwrap_or_default(), PrivateServer::url);
    let queue = QueueClient::connect(&url).await?.sweep(&prepared.message.id);
    commands::submit::enqueue(&queue, &prepared).await?;
    if private.as_ref().is_some_and(PrivateServer::is_new) {
        // Whoever held a lease in its file died with it.
        queue.lapse(None).await?;
    }
    let ended = drive(&args, &prepared, &dir, &mut collector, &queue, &url, log_format).await;
    if let Some(server) = private {
        server.stop().await?;
    }
    match ended? {
        Ended::Finished => conclude(&dir, &collector, prepared.plan.slots()),
        Ended::Interrupted => {
            eprintln!(
                "interrupted with {} of {} samples done; the same command goes on from there",
                collector.tally().records,
                prepared.plan.slots()
            );
            Ok(Exit::Interrupted)
        }
    }
}

enum Ended {
    Finished,
    Interrupted,
}

async fn drive(
    args: &RunArgs,
    prepared: &Prepared,
    dir: &RunDir,
    collector: &mut Collector,
    queue: &SweepQueue,
    url: &str,
    log_format: &'static str,
) -> Result<Ended> {
    collector.begin(queue).await?;
    let settings = WorkerSettings {
        redis: url.to_owned(),
        sweep: prepared.message.id.to_string(),
        device: args.device.clone(),
        roots: roots(prepared),
        logs: dir.logs(),
        log_format,
    };
    let count = args.workers.unwrap_or_else(|| default_count(&args.device));
    let mut workers = Workers::start(settings, count)?;
    let ended = watch(prepared, collector, queue, &mut workers).await;
    workers.stop(STOP_PATIENCE).await;
    collector.collect(queue).await?;
    collector.end(queue).await?;
    ended
}

/// Collects and looks after the workers until nothing is left to do.
async fn watch(
    prepared: &Prepared,
    collector: &mut Collector,
    queue: &SweepQueue,
    workers: &mut Workers,
) -> Result<Ended> {
    let mut progress = Progress::new(prepared.plan.slots(), collector.tally());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(interrupted());
    let mut reaped = Instant::now();
    loop {
        tokio::select! {
            () = &mut stop => { progress.end(); return Ok(Ended::Interrupted) }
            _ = ticks.tick() => {}
        }
        let fresh = collector.collect(queue).await?;
        progress.show(collector.tally());
        workers.tend(fresh > 0).inspect_err(|_| progress.end())?;
        for worker in workers.take_dead() {
            queue.lapse(Some(&worker)).await?;
        }
        if reaped.elapsed() >= Duration::from_secs(1) {
            queue.reap(1000).await?;
            reaped = Instant::now();
        }
        let state = queue.progress().await?;
        if state.pending == 0 && state.leased == 0 && state.uncollected == 0 {
            progress.end();
            return finished(prepared, collector, state.dead).map(|()| Ended::Finished);
        }
        if !workers.running() && state.pending > 0 {
            workers.revive()?;
        }
    }
}

/// Nothing is queued and nothing in flight: every sample has a record, or its job is dead.
fn finished(prepared: &Prepared, collector: &Collector, dead: u64) -> Result<()> {
    let missing = prepared.plan.slots() - collector.tally().records;
    if missing > 0 && dead == 0 {
        bail!("the queue is empty, but {missing} samples have no record; run again to certify them");
    }
    if dead > 0 {
        warn!(
            "{dead} jobs are dead, {missing} samples have no record; `status` names the reasons, `retry` tries again"
        );
    }
    Ok(())
}

/// Writes the reports, prints the table, and says how complete it is.
fn conclude(dir: &RunDir, collector: &Collector, slots: u64) -> Result<Exit> {
    tables::write_reports(dir).context("the records are complete, but the report could not be written")?;
    print(&std::fs::read_to_string(dir.report().join("table.txt"))?)?;
    let tally = collector.tally();
    if tally.failed > 0 {
        warn!("{} samples failed; records.jsonl says why", tally.failed);
    }
    let complete = tally.failed == 0 && tally.records == slots;
    Ok(if complete { Exit::Complete } else { Exit::Incomplete })
}

/// What local workers must open: the data, its class list and the models.
fn roots(prepared: &Prepared) -> Vec<PathBuf> {
    let dataset = &prepared.sweep.dataset;
    let models = prepared.sweep.models.iter().map(|model| model.path.clone());
    std::iter::once(dataset.path.clone()).chain(dataset.classes.clone()).chain(models).collect()
}

/// Ends when this process is asked to: Ctrl-C, SIGTERM, or SIGUSR1 as batch schedulers send it before the time limit.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => _ = signals.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::user_defined1()) => {}
    }
}
