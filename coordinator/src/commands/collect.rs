//! `collect`: moves a sweep's new records to a folder, then writes its reports.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use ddrs_common::domain::SweepId;
use ddrs_common::plan::Plan;
use ddrs_common::queue::{ServerSettings, SweepQueue};
use ddrs_common::spec::Sweep;
use ddrs_common::sweep_message::SweepMessage;
use tokio::time::{sleep, timeout};

use super::find;
use crate::collect::{Collector, END_TIMEOUT, release_lock, reserve};
use crate::progress::ProgressDisplay;
use crate::run_dir::RunDir;
use crate::stop::{StopRequests, spawn_blocking};
use crate::tables;
use ddrs_common::cli::ExitCode;
use ddrs_common::output::print;

/// Time between two rounds of `--follow`.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// Largest number of jobs that one round takes back from silent workers: there may be no other
/// program to do it.
const REQUEUE_LIMIT: u64 = 1000;

/// Collects `sweep` into `out`, once or until it ends. When asked to stop, it collects the records
/// that exist, writes the reports and lets others collect. A second request ends it at once.
///
/// # Errors
/// When the sweep is unknown, the folder holds another sweep, or Redis or the file system fails.
pub(crate) async fn collect(
    sweep: &SweepId,
    out: &Path,
    follow: bool,
    server: &ServerSettings,
) -> Result<ExitCode> {
    let mut stop = StopRequests::listen().context("cannot listen for signals")?;
    let Some(found) = stop.unless(find(server, sweep)).await else {
        return Ok(ExitCode::Interrupted);
    };
    let (queue, message) = found?;
    let target = CollectTarget::new(message, out)?;
    let Some(collector) = stop.unless(target.open(&queue)).await else {
        target.release_lock(&queue).await;
        return Ok(ExitCode::Interrupted);
    };
    let collection = Collection::new(collector?, &queue, &target);
    collection.run_and_finish(follow, &mut stop).await
}

/// A sweep and the folder for its records.
struct CollectTarget {
    message: SweepMessage,
    sweep: Sweep,
    plan: Plan,
    dir: RunDir,
}

impl CollectTarget {
    fn new(message: SweepMessage, out: &Path) -> Result<Self> {
        Ok(Self {
            sweep: message.sweep()?,
            plan: message.plan()?,
            dir: RunDir::new(out),
            message,
        })
    }
    /// Opens the folder. A new folder is made only when this collector has the right to collect.
    async fn open(&self, queue: &SweepQueue) -> Result<Collector> {
        let is_new = !self.dir.path().exists();
        if is_new {
            reserve(queue, &self.dir.records()).await?;
        }
        let opened = self.claim_and_open().await;
        // If there are records, another process was faster, and collects under the same name.
        if is_new && opened.is_err() && !self.dir.records().exists() {
            release_lock(queue, &self.dir.records()).await;
        }
        opened
    }

    /// Gives up the right to collect, if Redis answers soon.
    async fn release_lock(&self, queue: &SweepQueue) {
        let records = self.dir.records();
        timeout(END_TIMEOUT, release_lock(queue, &records))
            .await
            .ok();
    }

    async fn claim_and_open(&self) -> Result<Collector> {
        let dir = self.dir.clone();
        let message = self.message.clone();
        let sweep = self.sweep.clone();
        let plan = self.plan.clone();
        spawn_blocking(move || {
            dir.claim(&message)?;
            Collector::open(&dir.records(), &sweep, &plan, message.loss())
        })
        .await
    }
}

/// A collection in progress.
struct Collection<'a> {
    collector: Collector,
    progress: ProgressDisplay,
    queue: &'a SweepQueue,
    target: &'a CollectTarget,
}

impl<'a> Collection<'a> {
    fn new(collector: Collector, queue: &'a SweepQueue, target: &'a CollectTarget) -> Self {
        Self {
            progress: ProgressDisplay::new(target.plan.slots(), collector.counts()),
            collector,
            queue,
            target,
        }
    }

    /// Collects until the sweep ends or a request to stop arrives, and finishes. A second request
    /// ends this at once.
    async fn run_and_finish(mut self, follow: bool, stop: &mut StopRequests) -> Result<ExitCode> {
        let ended = stop.unless(self.run(follow)).await;
        self.progress.end();
        let finished = stop.unless(self.finish(ended.transpose()?)).await;
        finished.unwrap_or(Ok(ExitCode::Interrupted))
    }
    /// Collects once, or until the sweep ends. Returns true if it has ended. May be dropped at any
    /// time.
    async fn run(&mut self, follow: bool) -> Result<bool> {
        self.collector.begin(self.queue).await?;
        loop {
            self.collect(follow).await?;
            let progress = self.queue.status().progress().await?;
            let ended = self.collector.is_over(self.queue, &progress).await?;
            if ended || !follow {
                return Ok(ended);
            }
            sleep(FOLLOW_EVERY).await;
        }
    }

    async fn collect(&mut self, follow: bool) -> Result<()> {
        if follow {
            self.queue.admin().requeue_expired(REQUEUE_LIMIT).await?;
            self.collector.collect_if_room(self.queue).await?;
        } else {
            self.collector.collect(self.queue).await?;
        }
        self.progress.show(self.collector.counts());
        Ok(())
    }

    /// Gives up the right to collect and writes the reports. `ended` is `None` if the collection
    /// was asked to stop.
    async fn finish(&mut self, ended: Option<bool>) -> Result<ExitCode> {
        if ended.is_some() {
            self.collector.end_or_warn(self.queue).await;
        } else {
            self.collector.leave(self.queue).await;
        }
        let dir = self.target.dir.clone();
        spawn_blocking(move || tables::write_reports(&dir)).await?;
        self.print_summary()?;
        Ok(self.exit_code(ended))
    }

    fn exit_code(&self, ended: Option<bool>) -> ExitCode {
        match ended {
            None => ExitCode::Interrupted,
            Some(true) if !self.is_complete() => ExitCode::Incomplete,
            Some(_) => ExitCode::Complete,
        }
    }

    fn print_summary(&self) -> Result<()> {
        let records = self.collector.counts().records;
        let slots = self.target.plan.slots();
        let dir = self.target.dir.path().display();
        Ok(print(&format!(
            "{records} of {slots} samples are in {dir}\n"
        ))?)
    }

    fn is_complete(&self) -> bool {
        let counts = self.collector.counts();
        counts.records == self.target.plan.slots() && counts.failed == 0
    }
}
