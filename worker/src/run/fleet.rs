//! `--device cuda:all`: one worker process per GPU. Starts, watches and stops them together.
//!
//! Signals that ask to stop are forwarded to every process.

use std::io;
use std::process::ExitStatus;

use anyhow::{Context, Result, anyhow, bail};
use ddrs_common::cli::{
    BadInput, ExitCode, LogFormat, StopSignal, StopSignals, WorkerArgs, WorkerEnvironment,
    WorkerProcess, visible_gpus,
};
use ddrs_worker::device::cuda;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::stop::stdin_closed;
use crate::cli::WorkerRunArgs;

/// A process of the fleet, before it is started.
struct FleetMember {
    /// Its name in logs.
    name: String,
    command: Command,
}

/// Starts a worker on every GPU, with the arguments of this one, and waits until all have ended.
///
/// # Errors
/// [`BadInput`] when there is no usable GPU, or when every worker that failed refused its input;
/// otherwise when a worker died.
pub(crate) async fn run(args: &WorkerRunArgs, log_format: LogFormat) -> Result<()> {
    let gpus = cuda::devices().map_err(|reason| BadInput(reason.into()))?;
    info!(gpus, "one worker per GPU");
    let members = members(args, log_format, gpus)?;
    supervise(members, args.worker.stop_with_stdin).await
}

fn members(args: &WorkerRunArgs, log_format: LogFormat, gpus: usize) -> Result<Vec<FleetMember>> {
    let program = std::env::current_exe().context("cannot find the file of this program")?;
    let redis = args.redis.settings();
    let visible = visible_gpus(gpus);
    let members = (0..gpus).map(|number| {
        let gpu = gpu_name(&visible, number);
        let environment = WorkerEnvironment {
            program: &program,
            log_format,
            redis: &redis,
            // A process sees only its own GPU, so that it cannot use memory of another.
            gpu: Some(&gpu),
        };
        FleetMember {
            name: format!("worker of cuda:{number}"),
            command: environment.command(&member_arguments(&args.worker, number)),
        }
    });
    Ok(members.collect())
}

fn gpu_name(visible: &[String], number: usize) -> String {
    visible
        .get(number)
        .map_or_else(|| number.to_string(), Clone::clone)
}

/// Returns the arguments of the worker on one GPU: those given, with that GPU as its only device
/// and a separate name.
fn member_arguments(given: &WorkerArgs, number: usize) -> WorkerArgs {
    let mut args = given.clone();
    "cuda:0".clone_into(&mut args.device.device);
    args.name = args.name.map(|name| format!("{name}-{number}"));
    args.stop_with_stdin = true;
    args
}

/// Starts processes, forwards stop signals to them, and reports each one that fails; the others
/// continue. Ends when all have ended.
///
/// # Errors
/// When a process does not start or fails; [`BadInput`] when every process that failed refused its
/// input.
async fn supervise(members: Vec<FleetMember>, stop_with_stdin: bool) -> Result<()> {
    let mut signals = StopSignals::listen()?;
    let mut stdin_closed = std::pin::pin!(stdin_closed());
    let mut fleet = Fleet::start(members)?;
    loop {
        tokio::select! {
            ended = fleet.waiting.join_next() => match ended {
                None => return fleet.result(),
                Some(ended) => fleet.note_exit(ended.context("a wait for a worker failed")?)?,
            },
            signal = signals.next() => fleet.signal(signal),
            () = &mut stdin_closed, if stop_with_stdin && !fleet.stopping => {
                fleet.signal(StopSignal::Terminate);
            }
        }
    }
}

/// The processes, and the number of those that failed.
#[derive(Default)]
struct Fleet {
    waiting: JoinSet<FleetExit>,
    running: Vec<Pid>,
    stopping: bool,
    failed: usize,
    refused: usize,
}

/// The end of a process.
struct FleetExit {
    name: String,
    pid: Pid,
    status: io::Result<ExitStatus>,
}

impl Fleet {
    fn start(members: Vec<FleetMember>) -> Result<Self> {
        let mut fleet = Self::default();
        for member in members {
            fleet.start_member(member)?;
        }
        Ok(fleet)
    }

    fn start_member(&mut self, FleetMember { name, mut command }: FleetMember) -> Result<()> {
        command.kill_on_drop(true);
        let started = WorkerProcess::start(command);
        let mut process = started.with_context(|| format!("{name} does not start"))?;
        let pid = pid(&process).with_context(|| format!("{name} ended before it was watched"))?;
        info!(%pid, "{name} started");
        self.running.push(pid);
        self.waiting.spawn(async move {
            let status = process.wait().await;
            FleetExit { name, pid, status }
        });
        Ok(())
    }

    fn note_exit(&mut self, FleetExit { name, pid, status }: FleetExit) -> Result<()> {
        let status = status.with_context(|| format!("cannot wait for {name}"))?;
        self.running.retain(|&running| running != pid);
        self.count_exit(status);
        let left = self.running.len();
        if status.success() {
            info!(%pid, "{name} ended");
        } else {
            error!(%pid, left, "{name} died: {status}");
        }
        Ok(())
    }

    fn count_exit(&mut self, status: ExitStatus) {
        if !status.success() {
            self.failed += 1;
        }
        if ExitCode::BadInput.is_code_of(status) {
            self.refused += 1;
        }
    }

    fn signal(&mut self, signal: StopSignal) {
        self.stopping = true;
        for &pid in &self.running {
            send(pid, signal);
        }
    }

    fn result(&self) -> Result<()> {
        match (self.failed, self.refused) {
            (0, _) => Ok(()),
            (failed, refused) if failed == refused => Err(BadInput(anyhow!(
                "{failed} workers refused their input; their messages say why"
            ))
            .into()),
            (failed, _) => bail!("{failed} workers died; their messages say why"),
        }
    }
}

fn pid(process: &WorkerProcess) -> Option<Pid> {
    Pid::from_raw(process.id()?.cast_signed())
}

fn send(pid: Pid, signal: StopSignal) {
    // The process may have just ended.
    if let Err(reason) = kill_process(pid, signal_number(signal)) {
        warn!(%pid, "cannot send {} to a worker: {reason}", signal.name());
    }
}

fn signal_number(signal: StopSignal) -> Signal {
    match signal {
        StopSignal::Terminate => Signal::TERM,
        StopSignal::Interrupt => Signal::INT,
        StopSignal::User1 => Signal::USR1,
    }
}

#[cfg(test)]
mod tests;
