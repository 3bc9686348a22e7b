//! `--device cuda:all`: one worker process for each GPU, started, watched and told to stop
//! together.
//!
//! Each worker's stdin is a pipe that this process holds open and never writes to: however this
//! process ends, the pipe closes, and the worker hands its job back and ends too. Signals are
//! passed on as they come.

use std::process::{ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::stop::closed;
use crate::cli::RunArgs;
use ddrs_common::cli::BadInput;
use ddrs_worker::device::cuda;

/// A worker of the fleet, before it is started.
pub(crate) struct Member {
    /// What logs call it.
    pub(crate) name: String,
    /// Its command line.
    pub(crate) command: Command,
}

/// Starts a worker on every GPU, with the arguments of this one, and waits until all have ended.
///
/// # Errors
/// [`BadInput`] when there is no GPU, with the reason, or when workers refused every sweep;
/// otherwise when a worker died.
pub(crate) async fn run(args: &RunArgs) -> Result<()> {
    let devices = cuda::devices().map_err(|reason| BadInput(reason.into()))?;
    let program = std::env::current_exe().context("this program's own file")?;
    let given: Result<Vec<String>, _> = std::env::args_os()
        .skip(1)
        .map(std::ffi::OsString::into_string)
        .collect();
    let given = given.map_err(|argument| {
        BadInput(anyhow::anyhow!(
            "argument {} is not UTF-8",
            argument.display()
        ))
    })?;
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    let members = (0..devices).map(|number| {
        let mut command = Command::new(&program);
        command.args(arguments(&given, number));
        // A process sees its own GPU alone, so that nothing of it comes to lie on another.
        command.env("CUDA_VISIBLE_DEVICES", nth(visible.as_deref(), number));
        Member {
            name: format!("worker of cuda:{number}"),
            command,
        }
    });
    info!(gpus = devices, "one worker for each GPU");
    supervise(members.collect(), args.stop_with_stdin).await
}

/// The arguments of the worker of one GPU: those given, with the GPU as its first device, and a
/// name of its own.
fn arguments(given: &[String], number: usize) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut given = given.iter();
    while let Some(argument) = given.next() {
        match argument
            .split_once('=')
            .map_or((argument.as_str(), None), |(key, value)| {
                (key, Some(value.to_owned()))
            }) {
            ("--device", value) => {
                if value.is_none() {
                    given.next();
                }
                arguments.push("--device=cuda:0".to_owned());
            }
            ("--name", value) => {
                let name = value.or_else(|| given.next().cloned()).unwrap_or_default();
                arguments.push(format!("--name={name}-{number}"));
            }
            ("--stop-with-stdin", _) => {}
            _ => arguments.push(argument.clone()),
        }
    }
    arguments.push("--stop-with-stdin".to_owned());
    arguments
}

/// What `CUDA_VISIBLE_DEVICES` says of one of those that are visible now.
fn nth(visible: Option<&str>, number: usize) -> String {
    let named = visible.and_then(|names| names.split(',').nth(number));
    named.map_or_else(|| number.to_string(), |name| name.trim().to_owned())
}

/// Starts processes, passes SIGTERM, SIGINT and SIGUSR1 on to them, and reports each that fails;
/// the others go on. Ends when all have ended, well if all ended well.
///
/// # Errors
/// When one does not start, or failed; [`BadInput`] when all that failed refused what they were
/// asked.
pub(crate) async fn supervise(members: Vec<Member>, stop_with_stdin: bool) -> Result<()> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let mut user = signal(SignalKind::user_defined1())?;
    let mut gone = std::pin::pin!(closed());
    let mut fleet = Fleet::default();
    for member in members {
        fleet.start(member)?;
    }
    loop {
        let told = tokio::select! {
            ended = fleet.waiting.join_next() => match ended {
                None => break,
                Some(ended) => {
                    let (name, pid, status) = ended.context("a watch over a worker ended early")?;
                    fleet.ended(&name, pid, status.with_context(|| format!("{name} was lost"))?);
                    continue;
                }
            },
            _ = terminate.recv() => Signal::TERM,
            _ = interrupt.recv() => Signal::INT,
            _ = user.recv() => Signal::USR1,
            () = &mut gone, if stop_with_stdin && !fleet.stopping => Signal::TERM,
        };
        fleet.tell(told);
    }
    fleet.verdict()
}

/// What is known of the processes.
#[derive(Default)]
struct Fleet {
    waiting: JoinSet<(String, Pid, std::io::Result<ExitStatus>)>,
    running: Vec<Pid>,
    stopping: bool,
    failed: usize,
    refused: usize,
}

impl Fleet {
    fn start(&mut self, Member { name, mut command }: Member) -> Result<()> {
        let started = command.stdin(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child: Child = started.with_context(|| format!("{name} does not start"))?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = pid.with_context(|| format!("{name} ended before it was watched"))?;
        info!(%pid, "{name} started");
        self.running.push(pid);
        self.waiting.spawn(async move {
            // Waiting closes a stdin that is still the child's; this one stays open until the child
            // is gone.
            let stdin = child.stdin.take();
            let status = child.wait().await;
            drop(stdin);
            (name, pid, status)
        });
        Ok(())
    }

    fn ended(&mut self, name: &str, pid: Pid, status: ExitStatus) {
        self.running.retain(|&running| running != pid);
        if status.success() {
            return info!(%pid, "{name} ended");
        }
        self.failed += 1;
        self.refused += usize::from(status.code() == Some(2));
        error!(%pid, left = self.running.len(), "{name} died: {status}");
    }

    fn tell(&mut self, told: Signal) {
        self.stopping = true;
        for &pid in &self.running {
            // It may have ended a moment ago; then there is nobody to tell.
            if let Err(reason) = kill_process(pid, told) {
                warn!(%pid, "a worker was not told to stop: {reason}");
            }
        }
    }

    fn verdict(&self) -> Result<()> {
        match (self.failed, self.refused) {
            (0, _) => Ok(()),
            (failed, refused) if failed == refused => Err(BadInput(anyhow::anyhow!(
                "{failed} workers refused what they were asked; their messages say why"
            ))
            .into()),
            (failed, _) => bail!("{failed} workers died; their messages say why"),
        }
    }
}

#[cfg(test)]
mod tests;
