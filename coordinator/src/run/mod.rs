//! `run`: everything in one command. Submits, starts local workers, shows progress, collects
//! records as they arrive, writes the reports and prints the table. Run again after a crash or an
//! interruption, it goes on where it stopped.

mod begin;
mod drive;
mod launcher;
mod workers;

use anyhow::{Context, Result};
use ddrs_common::log;
use ddrs_common::output::print;
use ddrs_common::queue::PrivateServer;
use tracing::{info, warn};

use crate::cli::RunArgs;
use crate::collect::Tally;
use crate::run_dir::RunDir;
use crate::stop::{StopRequests, spawn_blocking};
use crate::tables;
use begin::{Opened, begin, open};
use ddrs_common::cli::{ExitCode, LogFormat};
use drive::{Ended, drive};

/// Runs the sweep to its end, or to an interruption.
///
/// # Errors
/// [`ddrs_common::cli::BadInput`] when specification, data or models cannot be used; otherwise what
/// failed. The folder stays as it is and the same command goes on.
pub async fn run(args: RunArgs, log_format: LogFormat) -> Result<ExitCode> {
    let mut stop = StopRequests::listen().context("cannot listen for signals")?;
    let Some(opened) = stop.unless(open(&args)).await else {
        return Ok(interrupted(None));
    };
    let mut opened = opened?;
    let (dir, slots) = (opened.dir.clone(), opened.prepared.plan.slots());
    let mut private = None;
    let ended = if opened.collector.tally().records == slots {
        info!("all {slots} records are there already");
        // A coordinator that was killed between its last record and its end has left it running.
        private = PrivateServer::find(&dir.redis())?;
        Ok(Ended::Finished)
    } else {
        work(&args, &mut opened, &mut private, &mut stop, log_format).await
    };
    let silent = matches!(ended, Ok(Ended::Interrupted { silent: true }));
    // Told again: it is dropped, which kills it.
    let told_again = match private {
        Some(server) => stop.unless(end_server(server, silent)).await.is_none(),
        None => false,
    };
    let tally = opened.collector.tally();
    match ended? {
        Ended::Finished if !told_again => Ok(stop
            .unless(spawn_blocking(move || conclude(&dir, tally, slots)))
            .await
            .transpose()?
            .unwrap_or(ExitCode::Interrupted)),
        _ => Ok(interrupted(Some((tally, slots)))),
    }
}

/// From the first request to Redis to the last.
async fn work(
    args: &RunArgs,
    opened: &mut Opened,
    private: &mut Option<PrivateServer>,
    stop: &mut StopRequests,
    log_format: LogFormat,
) -> Result<Ended> {
    match stop.unless(begin(args, opened, private, log_format)).await {
        Some(Ok(begun)) => drive(opened, begun, stop).await,
        Some(Err(error)) if !stop.is_pending().await => Err(error),
        Some(Err(_)) | None => Ok(Ended::Interrupted { silent: false }),
    }
}

/// Stops a server. One that does not stop is no reason for a run to fail.
async fn end_server(server: PrivateServer, silent: bool) {
    let stopped = if silent {
        server.stop_silent().await
    } else {
        server.stop().await
    };
    if let Err(error) = stopped {
        warn!("{error}");
    }
}

/// Says how far a run came that was told to stop.
fn interrupted(done: Option<(Tally, u64)>) -> ExitCode {
    log::say(&match done {
        Some((tally, slots)) => {
            format!(
                "interrupted with {} of {slots} samples done; the same command goes on from there",
                tally.records
            )
        }
        None => "interrupted before anything was done; the same command starts it again".to_owned(),
    });
    ExitCode::Interrupted
}

/// Writes the reports, prints the table, and says how complete it is.
fn conclude(dir: &RunDir, tally: Tally, slots: u64) -> Result<ExitCode> {
    tables::write_reports(dir)
        .context("the records are complete, but the report could not be written")?;
    print(&std::fs::read_to_string(dir.report().join("table.txt"))?)?;
    if tally.failed > 0 {
        warn!("{} samples failed; records.jsonl says why", tally.failed);
    }
    let complete = tally.failed == 0 && tally.records == slots;
    Ok(if complete {
        ExitCode::Complete
    } else {
        ExitCode::Incomplete
    })
}
