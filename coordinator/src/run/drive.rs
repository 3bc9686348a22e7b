//! The middle of a run: workers work, records are collected, until nothing is left to do or the run
//! is told to stop.

use std::time::Duration;

use anyhow::{Result, bail};
use ddrs_common::queue::{PolicyWatch, SweepProgress as State, SweepQueue, SweepState};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;

use super::begin::{Begun, Opened};
use super::workers::Workers;
use crate::collect::Collector;
use crate::dead::Names;
use crate::prepare::Prepared;
use crate::progress::Progress;
use crate::stop::StopRequests;
use ddrs_common::terminal::plain;

/// How often records are collected and workers looked after.
const TICK: Duration = Duration::from_millis(100);
/// How long workers may take to hand their jobs back.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How the work came to its end.
pub(super) enum Ended {
    /// Nothing is left to do.
    Finished,
    /// It was told to stop.
    Interrupted {
        /// Whether Redis did not answer any more.
        silent: bool,
    },
}

/// Works until nothing is left to do, or until told to stop: then the workers hand their jobs back,
/// and what there is is collected. Told again, it just ends.
///
/// # Errors
/// When workers or Redis fail for good.
pub(super) async fn drive(
    opened: &mut Opened,
    begun: Begun,
    stop: &mut StopRequests,
) -> Result<Ended> {
    let Opened {
        prepared,
        collector,
        ..
    } = opened;
    let Begun {
        client,
        queue,
        settings,
        workers,
    } = begun;
    let Some(taken) = stop.unless(collector.begin(&queue)).await else {
        return Ok(Ended::Interrupted {
            silent: !collector.leave(&queue).await,
        });
    };
    taken?;
    let mut workers = match Workers::start(settings, workers) {
        Ok(workers) => workers,
        Err(error) => {
            // Whoever should collect need not wait for this turn to end.
            stop.unless(collector.leave(&queue)).await;
            return Err(error);
        }
    };
    let mut progress = Progress::new(prepared.plan.slots(), collector.tally());
    let mut eye = PolicyWatch::new(&client);
    // Also in the middle of a request that is repeated: whatever it would have done is done by the
    // next run.
    let watched = watch(
        prepared,
        collector,
        &queue,
        &mut workers,
        &mut progress,
        &mut eye,
    );
    let ended = stop.unless(watched).await;
    progress.end();
    let last = async {
        workers.stop(STOP_PATIENCE).await;
        if let Some(Ok(())) = ended {
            last_records(collector, &queue).await?;
            return Ok(true);
        }
        Ok(collector.leave(&queue).await)
    };
    let answered: Option<Result<bool>> = stop.unless(last).await;
    match (ended, answered) {
        (Some(Err(error)), _) | (Some(Ok(())), Some(Err(error))) => Err(error),
        (Some(Ok(())), Some(Ok(_))) => Ok(Ended::Finished),
        (_, answered) => Ok(Ended::Interrupted {
            silent: !matches!(answered, Some(Ok(true))),
        }),
    }
}

async fn last_records(collector: &mut Collector, queue: &SweepQueue) -> Result<()> {
    collector.collect(queue).await?;
    if let Err(error) = collector.end(queue).await {
        warn!(
            "everything is collected, but redis was not told, and keeps others waiting: {error:#}"
        );
    }
    Ok(())
}

/// Collects and looks after the workers until nothing is left to do. May be dropped at any time.
async fn watch(
    prepared: &Prepared,
    collector: &mut Collector,
    queue: &SweepQueue,
    workers: &mut Workers,
    progress: &mut Progress,
    eye: &mut PolicyWatch,
) -> Result<()> {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reaped = Instant::now();
    loop {
        ticks.tick().await;
        if let Some(news) = eye.policy_changes().await {
            warn!("{news}");
        }
        if collector.collect_if_room(queue).await? > 0 {
            workers.note_records();
        }
        progress.show(collector.tally());
        for death in workers.check().inspect_err(|_| progress.end())? {
            let held = queue.admin().expire_leases(Some(&death.worker)).await?;
            queue.admin().requeue_expired(1000).await?;
            workers
                .restart(&death, held > 0)
                .inspect_err(|_| progress.end())?;
        }
        if reaped.elapsed() >= Duration::from_secs(1) {
            queue.admin().requeue_expired(1000).await?;
            reaped = Instant::now();
        }
        let state = queue.status().progress().await?;
        if collector.is_over(queue, &state).await? {
            progress.end();
            return finished(prepared, collector, queue, &state).await;
        }
        if !workers.any_active() && state.pending > 0 {
            workers.restart_idle()?;
        }
    }
}

/// Nothing will happen any more: every sample has a record, its job is dead, or the sweep was
/// cancelled.
async fn finished(
    prepared: &Prepared,
    collector: &Collector,
    queue: &SweepQueue,
    state: &State,
) -> Result<()> {
    let missing = prepared.plan.slots() - collector.tally().records;
    let names = Names::of(&prepared.sweep, &prepared.plan);
    for dead in queue.status().dead_jobs().await? {
        warn!(
            "job {} is dead, {} of its samples have no record: {}",
            dead.job,
            dead.missing,
            plain(&names.reason(&dead))
        );
    }
    match state.state {
        _ if missing == 0 => {}
        SweepState::Cancelled => {
            warn!("the sweep was cancelled, {missing} samples have no record; run again to go on")
        }
        SweepState::Active if state.dead > 0 => {
            warn!(
                "{missing} samples have no record; run again, or `retry`, to try the dead jobs again"
            );
        }
        SweepState::Active => {
            bail!(
                "the queue is empty, but {missing} samples have no record; run again to certify them"
            )
        }
    }
    Ok(())
}
