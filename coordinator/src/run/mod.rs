//! `run`: everything in one command. Submits, starts local workers, shows progress, collects records as they arrive,
//! writes the reports and prints the table. Run again after a crash or an interruption, it goes on where it stopped.

mod workers;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ddrs_common::queue::{
    PrivateServer, Progress as State, QueueClient, ServerSettings, SweepQueue, SweepState, Watch,
};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use crate::cli::RunArgs;
use crate::collect::Collector;
use crate::commands;
use crate::dead::Names;
use crate::exit::{BadInput, Exit};
use crate::prepare::{Prepared, prepare};
use crate::progress::Progress;
use crate::report::plain;
use crate::run_dir::RunDir;
use crate::tables;
use ddrs_common::log;
use ddrs_common::output::print;
pub use workers::{WORKER_VARIABLE, program as worker_program};
use workers::{WorkerSettings, Workers, default_count};

/// How often records are collected and workers looked after.
const TICK: Duration = Duration::from_millis(100);
/// How long workers may take to hand their jobs back.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How long a run that was interrupted, or failed, still waits for Redis.
const LAST_WORDS: Duration = Duration::from_secs(1);

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
        // A coordinator that was killed between its last record and its end has left it running.
        if let Some(server) = PrivateServer::find(&dir.redis())? {
            server.stop().await?;
        }
        return conclude(&dir, &collector, prepared.plan.slots());
    }

    let count = args.workers.unwrap_or_else(|| default_count(&args.device));
    if count == 0 && args.redis.is_none() {
        return Err(BadInput::new("--workers 0 needs workers elsewhere, and a --redis that they reach").into());
    }
    let private = match &args.redis {
        Some(_) => None,
        None => Some(PrivateServer::start(&dir.redis()).await?),
    };
    let server = match &private {
        Some(private) => ServerSettings { url: private.url(), ..ServerSettings::default() },
        None => args.login.settings(args.redis.as_deref().unwrap_or_default()),
    };
    let client = QueueClient::connect(&server).await?;
    let queue = client.sweep(&prepared.message.id);
    commands::submit::enqueue(&queue, &prepared).await?;
    if private.as_ref().is_some_and(PrivateServer::is_new) {
        // Whoever held a lease in its file died with it.
        queue.lapse(None).await?;
    }
    if private.is_some() {
        // There is no other way to try the dead jobs of a private queue again.
        queue.reap(u64::from(prepared.plan.jobs())).await?;
        queue.retry().await?;
    }
    let settings = WorkerSettings {
        redis: server,
        sweep: prepared.message.id.to_string(),
        device: args.device.clone(),
        roots: roots(&prepared),
        logs: dir.logs(),
        log_format,
    };
    let ended = drive(&prepared, &mut collector, &queue, settings, count, Watch::new(&client)).await;
    if let Some(server) = private {
        server.stop().await?;
    }
    match ended? {
        Ended::Finished => conclude(&dir, &collector, prepared.plan.slots()),
        Ended::Interrupted => {
            log::say(&format!(
                "interrupted with {} of {} samples done; the same command goes on from there",
                collector.tally().records,
                prepared.plan.slots()
            ));
            Ok(Exit::Interrupted)
        }
    }
}

enum Ended {
    Finished,
    Interrupted,
}

async fn drive(
    prepared: &Prepared,
    collector: &mut Collector,
    queue: &SweepQueue,
    settings: WorkerSettings,
    count: u32,
    mut eye: Watch,
) -> Result<Ended> {
    collector.begin(queue).await?;
    let mut workers = Workers::start(settings, count)?;
    let mut progress = Progress::new(prepared.plan.slots(), collector.tally());
    let ended = tokio::select! {
        biased;
        // Also in the middle of a request that is repeated: whatever it would have done is done by the next run.
        () = interrupted() => Ok(Ended::Interrupted),
        ended = watch(prepared, collector, queue, &mut workers, &mut progress, &mut eye) => ended.map(|()| Ended::Finished),
    };
    progress.end();
    workers.stop(STOP_PATIENCE).await;
    if let Ok(Ended::Finished) = ended {
        return tokio::select! {
            biased;
            () = interrupted() => Ok(Ended::Interrupted),
            last = last_records(collector, queue) => last.map(|()| Ended::Finished),
        };
    }
    match timeout(LAST_WORDS, last_records(collector, queue)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!("not all records are collected; the rest is when the run goes on: {error:#}"),
        Err(_) => warn!("redis does not answer; what it holds is collected when the run goes on"),
    }
    ended
}

async fn last_records(collector: &mut Collector, queue: &SweepQueue) -> Result<()> {
    collector.collect(queue).await?;
    collector.end(queue).await
}

/// Collects and looks after the workers until nothing is left to do. May be dropped at any time.
async fn watch(
    prepared: &Prepared,
    collector: &mut Collector,
    queue: &SweepQueue,
    workers: &mut Workers,
    progress: &mut Progress,
    eye: &mut Watch,
) -> Result<()> {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reaped = Instant::now();
    loop {
        ticks.tick().await;
        if let Some(news) = eye.news().await {
            warn!("{news}");
        }
        if collector.collect_if_room(queue).await? > 0 {
            workers.succeeded();
        }
        progress.show(collector.tally());
        for death in workers.tend().inspect_err(|_| progress.end())? {
            let held = queue.lapse(Some(&death.worker)).await?;
            queue.reap(1000).await?;
            workers.replace(&death, held > 0).inspect_err(|_| progress.end())?;
        }
        if reaped.elapsed() >= Duration::from_secs(1) {
            queue.reap(1000).await?;
            reaped = Instant::now();
        }
        let state = queue.progress().await?;
        if collector.is_over(queue, &state).await? {
            progress.end();
            return finished(prepared, collector, queue, &state).await;
        }
        if !workers.running() && state.pending > 0 {
            workers.revive()?;
        }
    }
}

/// Nothing will happen any more: every sample has a record, its job is dead, or the sweep was cancelled.
async fn finished(prepared: &Prepared, collector: &Collector, queue: &SweepQueue, state: &State) -> Result<()> {
    let missing = prepared.plan.slots() - collector.tally().records;
    let names = Names::of(&prepared.sweep, &prepared.plan);
    for dead in queue.dead().await? {
        warn!(
            "job {} is dead, {} of its samples have no record: {}",
            dead.job,
            dead.missing,
            plain(&names.reason(&dead))
        );
    }
    match state.state {
        _ if missing == 0 => {}
        SweepState::Cancelled => warn!("the sweep was cancelled, {missing} samples have no record; run again to go on"),
        SweepState::Active if state.dead > 0 => {
            warn!("{missing} samples have no record; run again, or `retry`, to try the dead jobs again");
        }
        SweepState::Active => {
            bail!("the queue is empty, but {missing} samples have no record; run again to certify them")
        }
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

/// What local workers must open: the data, what links in it lead to, its class list and the models.
fn roots(prepared: &Prepared) -> Vec<PathBuf> {
    let dataset = &prepared.sweep.dataset;
    let models = prepared.sweep.models.iter().map(|model| model.path.clone());
    let data = std::iter::once(dataset.path.clone()).chain(prepared.linked.clone());
    data.chain(dataset.classes.clone()).chain(models).collect()
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
