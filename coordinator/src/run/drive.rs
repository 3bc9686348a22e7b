//! The middle of a run: workers certify and records are collected, until nothing is left to do or
//! the run is asked to stop.

use std::time::Duration;

use anyhow::{Result, bail};
use ddrs_common::queue::{PolicyWatch, SweepProgress, SweepQueue, SweepState};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;

use super::begin::{OpenedRun, StartedRun};
use super::supervisor::WorkerSupervisor;
use crate::collect::Collector;
use crate::dead::SlotNames;
use crate::prepare::Prepared;
use crate::progress::ProgressDisplay;
use crate::stop::StopRequests;
use ddrs_common::terminal::plain;

/// Time between two rounds of collecting records and checking workers.
const TICK: Duration = Duration::from_millis(100);
/// Time between two rounds of taking back jobs whose leases have expired.
const REQUEUE_EVERY: Duration = Duration::from_secs(1);
/// Largest number of jobs that one round takes back.
const REQUEUE_LIMIT: u64 = 1000;
/// Time that workers have to hand their jobs back.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// The end of the work of a run.
pub(super) enum RunEnd {
    /// Nothing is left to do.
    Finished,
    /// The run was asked to stop.
    Interrupted {
        /// True if Redis no longer answered.
        silent: bool,
    },
}

/// Works until nothing is left to do, or until asked to stop: then the workers hand their jobs
/// back, and the records that exist are collected. A second request ends this at once.
///
/// # Errors
/// When workers or Redis fail permanently.
pub(super) async fn drive(
    opened: &mut OpenedRun,
    started: StartedRun,
    stop: &mut StopRequests,
) -> Result<RunEnd> {
    let queue = started.queue;
    let collector = &mut opened.collector;
    let Some(taken) = stop.unless(collector.begin(&queue)).await else {
        let silent = !collector.leave(&queue).await;
        return Ok(RunEnd::Interrupted { silent });
    };
    taken?;
    let mut workers = match WorkerSupervisor::start(started.settings, started.workers) {
        Ok(workers) => workers,
        Err(error) => {
            // The next collector need not wait for this turn to end.
            stop.unless(collector.leave(&queue)).await;
            return Err(error);
        }
    };
    let mut drive = Drive {
        prepared: &opened.prepared,
        progress: ProgressDisplay::new(opened.prepared.plan.slots(), collector.counts()),
        collector,
        queue: &queue,
        workers: &mut workers,
        policy: PolicyWatch::new(&started.client),
        requeued: Instant::now(),
    };
    // A request in progress is dropped as well: the next run does what it would have done.
    let ended = stop.unless(drive.run()).await;
    drive.progress.end();
    let last = stop.unless(drive.finish(ended.as_ref())).await;
    run_end(ended, last)
}

/// Combines the result of the work, `None` if asked to stop, with that of the last requests, `None`
/// if asked again. The latter is true if Redis answered.
fn run_end(ended: Option<Result<()>>, last: Option<Result<bool>>) -> Result<RunEnd> {
    match (ended, last) {
        (Some(Err(error)), _) | (Some(Ok(())), Some(Err(error))) => Err(error),
        (Some(Ok(())), Some(Ok(_))) => Ok(RunEnd::Finished),
        (_, last) => Ok(RunEnd::Interrupted {
            silent: !matches!(last, Some(Ok(true))),
        }),
    }
}

/// A run whose workers have started.
struct Drive<'a> {
    prepared: &'a Prepared,
    collector: &'a mut Collector,
    queue: &'a SweepQueue,
    workers: &'a mut WorkerSupervisor,
    progress: ProgressDisplay,
    policy: PolicyWatch,
    /// The time when jobs were last taken back.
    requeued: Instant,
}

impl Drive<'_> {
    /// Collects records and supervises the workers until nothing is left to do. May be dropped at
    /// any time.
    async fn run(&mut self) -> Result<()> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.report_policy_changes().await;
            self.collect().await?;
            self.replace_dead_workers().await?;
            self.requeue_expired().await?;
            let progress = self.queue.status().progress().await?;
            if self.collector.is_over(self.queue, &progress).await? {
                self.progress.end();
                return self.report_missing(&progress).await;
            }
            if !self.workers.any_active() && progress.pending > 0 {
                self.workers.restart_idle()?;
            }
        }
    }

    async fn report_policy_changes(&mut self) {
        if let Some(change) = self.policy.policy_changes().await {
            warn!("{change}");
        }
    }

    async fn collect(&mut self) -> Result<()> {
        if self.collector.collect_if_room(self.queue).await? > 0 {
            self.workers.note_records();
        }
        self.progress.show(self.collector.counts());
        Ok(())
    }

    async fn replace_dead_workers(&mut self) -> Result<()> {
        let progress = &self.progress;
        let admin = self.queue.admin();
        for death in self.workers.check().inspect_err(|_| progress.end())? {
            let leases = admin.expire_leases(Some(&death.worker)).await?;
            admin.requeue_expired(REQUEUE_LIMIT).await?;
            let restarted = self.workers.restart(&death, leases > 0);
            restarted.inspect_err(|_| progress.end())?;
        }
        Ok(())
    }

    async fn requeue_expired(&mut self) -> Result<()> {
        if self.requeued.elapsed() >= REQUEUE_EVERY {
            self.queue.admin().requeue_expired(REQUEUE_LIMIT).await?;
            self.requeued = Instant::now();
        }
        Ok(())
    }

    /// Stops the workers and collects the last records. Returns true if Redis answered.
    async fn finish(&mut self, ended: Option<&Result<()>>) -> Result<bool> {
        self.workers.stop(STOP_PATIENCE).await;
        if !matches!(ended, Some(Ok(()))) {
            return Ok(self.collector.leave(self.queue).await);
        }
        self.collector.collect(self.queue).await?;
        self.collector.end_or_warn(self.queue).await;
        Ok(true)
    }

    /// Reports the samples without a record once nothing will happen any more: their jobs are dead,
    /// or the sweep was cancelled.
    async fn report_missing(&self, progress: &SweepProgress) -> Result<()> {
        self.report_dead_jobs().await?;
        let missing = self.prepared.plan.slots() - self.collector.counts().records;
        match progress.state {
            _ if missing == 0 => {}
            SweepState::Cancelled => warn!(
                "the sweep was cancelled, {missing} samples have no record; run again to resume"
            ),
            SweepState::Active if progress.dead > 0 => warn!(
                "{missing} samples have no record; run again, or `retry`, to try the dead jobs \
                 again"
            ),
            SweepState::Active => bail!(
                "the queue is empty, but {missing} samples have no record; run again to certify \
                 them"
            ),
        }
        Ok(())
    }

    async fn report_dead_jobs(&self) -> Result<()> {
        let names = SlotNames::of(&self.prepared.sweep, &self.prepared.plan);
        for dead in self.queue.status().dead_jobs().await? {
            warn!(
                "job {} is dead, {} of its samples have no record: {}",
                dead.job,
                dead.missing,
                plain(&names.reason(&dead))
            );
        }
        Ok(())
    }
}
