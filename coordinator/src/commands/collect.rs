//! `collect`: a sweep's new records go to a folder, then its reports are written.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use ddrs_common::domain::SweepId;
use ddrs_common::plan::Plan;
use ddrs_common::queue::{ServerSettings, SweepQueue};
use ddrs_common::spec::{Sweep, SweepMessage};
use tokio::time::sleep;

use super::find;
use crate::collect::{Collector, give_up, reserve};
use crate::exit::Exit;
use crate::progress::Progress;
use crate::run_dir::RunDir;
use crate::tables;
use ddrs_common::output::print;

/// How often `--follow` looks for new records.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// Jobs that are taken back in one look from workers that fell silent: there may be nobody else to do it.
const REAP: u64 = 1000;

/// Collects `sweep` into `out`, once or until it ends.
///
/// # Errors
/// When the sweep is unknown, the folder holds another sweep, or Redis or the file system fails.
pub async fn collect(sweep: &SweepId, out: &Path, follow: bool, server: &ServerSettings) -> Result<Exit> {
    let (queue, message) = find(server, sweep).await?;
    let (checked, plan) = (message.sweep()?, message.plan()?);
    let dir = RunDir::new(out);
    let mut collector = open(&dir, &queue, &message, &checked, &plan).await?;
    collector.begin(&queue).await?;
    let mut progress = Progress::new(plan.slots(), collector.tally());
    let ended = loop {
        if follow {
            queue.reap(REAP).await?;
            collector.collect_if_room(&queue).await?;
        } else {
            collector.collect(&queue).await?;
        }
        progress.show(collector.tally());
        let state = queue.progress().await?;
        let ended = collector.is_over(&queue, &state).await?;
        if ended || !follow {
            break ended;
        }
        sleep(FOLLOW_EVERY).await;
    };
    progress.end();
    collector.end(&queue).await?;
    tables::write_reports(&dir)?;
    let tally = collector.tally();
    let complete = tally.records == plan.slots() && tally.failed == 0;
    print(&format!("{} of {} samples are in {}\n", tally.records, plan.slots(), dir.path().display()))?;
    Ok(if ended && !complete { Exit::Incomplete } else { Exit::Complete })
}

/// Opens the folder. One that is not there is made only when the turn to collect is had.
async fn open(
    dir: &RunDir,
    queue: &SweepQueue,
    message: &SweepMessage,
    sweep: &Sweep,
    plan: &Plan,
) -> Result<Collector> {
    let is_new = !dir.path().exists();
    if is_new {
        reserve(queue, &dir.records()).await?;
    }
    let opened = dir.claim(message).and_then(|_| Collector::open(&dir.records(), sweep, plan));
    if is_new && opened.is_err() {
        give_up(queue, &dir.records()).await;
    }
    opened
}
