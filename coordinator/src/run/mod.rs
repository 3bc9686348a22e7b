//! `run`: the whole sweep in one command. Submits the sweep, starts local workers, shows progress,
//! collects records as they arrive, writes the reports and prints the table. After a crash or an
//! interruption, the same command resumes the sweep.

mod begin;
mod drive;
mod launcher;
mod supervisor;

use anyhow::{Context, Result};
use ddrs_common::cli::{ExitCode, LogFormat};
use ddrs_common::log;
use ddrs_common::output::print;
use ddrs_common::queue::PrivateServer;
use tracing::{info, warn};

use crate::cli::RunArgs;
use crate::run_dir::RunDir;
use crate::stop::{StopRequests, spawn_blocking};
use crate::tables;
use begin::{OpenedRun, begin, open};
use drive::{RunEnd, drive};

/// Runs the sweep until it ends or is interrupted.
///
/// # Errors
/// [`ddrs_common::cli::BadInput`] when specification, data or models cannot be used; otherwise the
/// failure. The run folder stays as it is, and the same command resumes.
pub(crate) async fn run(args: RunArgs, log_format: LogFormat) -> Result<ExitCode> {
    let mut stop = StopRequests::listen().context("cannot listen for signals")?;
    let Some(opened) = stop.unless(open(&args)).await else {
        log::say("interrupted before anything was done; run the same command to start again");
        return Ok(ExitCode::Interrupted);
    };
    let mut opened = opened?;
    let (ended, server_stopped) = work_and_stop(&args, &mut opened, &mut stop, log_format).await?;
    match ended? {
        RunEnd::Finished if server_stopped => conclude(&opened, &mut stop).await,
        _ => Ok(interrupted(&opened)),
    }
}

/// Works on the sweep, then stops the private server. Returns the end of the work, and false if a
/// further request to stop arrived before the server had stopped.
async fn work_and_stop(
    args: &RunArgs,
    opened: &mut OpenedRun,
    stop: &mut StopRequests,
    log_format: LogFormat,
) -> Result<(Result<RunEnd>, bool)> {
    let mut server = None;
    let ended = if is_complete(opened) {
        info!("all {} records exist already", slots(opened));
        // A coordinator that was killed after the last record has left its server running.
        server = PrivateServer::find(&opened.dir.redis())?;
        Ok(RunEnd::Finished)
    } else {
        work(args, opened, &mut server, stop, log_format).await
    };
    let silent = matches!(ended, Ok(RunEnd::Interrupted { silent: true }));
    let stopped = match server {
        // If a further request arrives, dropping the server kills it.
        Some(server) => stop.unless(stop_server(server, silent)).await.is_some(),
        None => true,
    };
    Ok((ended, stopped))
}

fn is_complete(opened: &OpenedRun) -> bool {
    opened.collector.counts().records == slots(opened)
}

fn slots(opened: &OpenedRun) -> u64 {
    opened.prepared.plan.slots()
}

/// Works on the sweep, from the first request to Redis to the last.
async fn work(
    args: &RunArgs,
    opened: &mut OpenedRun,
    server: &mut Option<PrivateServer>,
    stop: &mut StopRequests,
    log_format: LogFormat,
) -> Result<RunEnd> {
    match stop.unless(begin(args, opened, server, log_format)).await {
        Some(Ok(begun)) => drive(opened, begun, stop).await,
        Some(Err(error)) if !stop.is_pending().await => Err(error),
        Some(Err(_)) | None => Ok(RunEnd::Interrupted { silent: false }),
    }
}

/// Stops a server. If it does not stop, the run does not fail.
async fn stop_server(server: PrivateServer, silent: bool) {
    let stopped = if silent {
        server.stop_silent().await
    } else {
        server.stop().await
    };
    stopped.unwrap_or_else(|error| warn!("{error}"));
}

/// Reports how much of an interrupted run is done.
fn interrupted(opened: &OpenedRun) -> ExitCode {
    log::say(&format!(
        "interrupted with {} of {} samples done; the same command resumes",
        opened.collector.counts().records,
        slots(opened)
    ));
    ExitCode::Interrupted
}

/// Writes the reports, prints the table, and returns how complete it is.
async fn conclude(opened: &OpenedRun, stop: &mut StopRequests) -> Result<ExitCode> {
    let dir = opened.dir.clone();
    let reported = stop.unless(spawn_blocking(move || report(&dir))).await;
    let Some(reported) = reported else {
        return Ok(ExitCode::Interrupted);
    };
    reported?;
    Ok(exit_code(opened))
}

fn report(dir: &RunDir) -> Result<()> {
    tables::write_reports(dir)
        .context("the records are complete, but the report could not be written")?;
    let table = std::fs::read_to_string(dir.report().join("table.txt"))?;
    Ok(print(&table)?)
}

fn exit_code(opened: &OpenedRun) -> ExitCode {
    let failed = opened.collector.counts().failed;
    if failed > 0 {
        warn!("{failed} samples failed; records.jsonl says why");
    }
    if failed == 0 && is_complete(opened) {
        ExitCode::Complete
    } else {
        ExitCode::Incomplete
    }
}
