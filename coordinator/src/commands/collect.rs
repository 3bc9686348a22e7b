//! `collect`: a sweep's new records go to a folder, then its reports are written.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use ddrs_common::domain::SweepId;
use ddrs_common::plan::Plan;
use ddrs_common::queue::{ServerSettings, SweepQueue};
use ddrs_common::spec::Sweep;
use ddrs_common::sweep_message::SweepMessage;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::find;
use crate::collect::{Collector, LAST_WORDS, give_up, reserve};
use crate::progress::Progress;
use crate::run_dir::RunDir;
use crate::stop::{StopRequests, spawn_blocking};
use crate::tables;
use ddrs_common::cli::ExitCode;
use ddrs_common::output::print;

/// How often `--follow` looks for new records.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// Jobs that are taken back in one look from workers that fell silent: there may be nobody else to
/// do it.
const REAP: u64 = 1000;

/// Collects `sweep` into `out`, once or until it ends. Told to stop, it collects what there is,
/// writes the reports and lets others collect; told again, it just ends.
///
/// # Errors
/// When the sweep is unknown, the folder holds another sweep, or Redis or the file system fails.
pub async fn collect(
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
    let (checked, plan) = (message.sweep()?, message.plan()?);
    let dir = RunDir::new(out);
    let Some(opened) = stop
        .unless(open(&dir, &queue, &message, &checked, &plan))
        .await
    else {
        timeout(LAST_WORDS, give_up(&queue, &dir.records()))
            .await
            .ok();
        return Ok(ExitCode::Interrupted);
    };
    let mut collector = opened?;
    let mut progress = Progress::new(plan.slots(), collector.tally());
    let moved = stop
        .unless(until_it_ends(&mut collector, &queue, &mut progress, follow))
        .await;
    progress.end();
    let ended = moved.transpose()?;
    if ended.is_some() {
        match stop.unless(collector.end(&queue)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                warn!(
                    "everything is collected, but redis was not told, and keeps others waiting: {error:#}"
                );
            }
            None => return Ok(ExitCode::Interrupted),
        }
    } else if stop.unless(collector.leave(&queue)).await.is_none() {
        return Ok(ExitCode::Interrupted);
    }
    let folder = dir.clone();
    let Some(written) = stop
        .unless(spawn_blocking(move || tables::write_reports(&folder)))
        .await
    else {
        return Ok(ExitCode::Interrupted);
    };
    written?;
    let tally = collector.tally();
    let complete = tally.records == plan.slots() && tally.failed == 0;
    print(&format!(
        "{} of {} samples are in {}\n",
        tally.records,
        plan.slots(),
        dir.path().display()
    ))?;
    Ok(match ended {
        None => ExitCode::Interrupted,
        Some(true) if !complete => ExitCode::Incomplete,
        Some(_) => ExitCode::Complete,
    })
}

/// Collects once, or until the sweep ends; says whether it has. May be dropped at any time.
async fn until_it_ends(
    collector: &mut Collector,
    queue: &SweepQueue,
    progress: &mut Progress,
    follow: bool,
) -> Result<bool> {
    collector.begin(queue).await?;
    loop {
        if follow {
            queue.admin().requeue_expired(REAP).await?;
            collector.collect_if_room(queue).await?;
        } else {
            collector.collect(queue).await?;
        }
        progress.show(collector.tally());
        let state = queue.status().progress().await?;
        let ended = collector.is_over(queue, &state).await?;
        if ended || !follow {
            return Ok(ended);
        }
        sleep(FOLLOW_EVERY).await;
    }
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
    let (folder, message, sweep, plan) =
        (dir.clone(), message.clone(), sweep.clone(), plan.clone());
    let opened = spawn_blocking(move || {
        folder
            .claim(&message)
            .and_then(|_| Collector::open(&folder.records(), &sweep, &plan))
    })
    .await;
    // Where there are records, somebody else was quicker, and collects under the same name.
    if is_new && opened.is_err() && !dir.records().exists() {
        give_up(queue, &dir.records()).await;
    }
    opened
}
