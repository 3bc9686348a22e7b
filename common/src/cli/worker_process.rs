//! Worker processes: the command that starts one, and the pipe by which its parent holds it.
//!
//! The stdin of a worker is a pipe that its parent keeps open and never writes to. However the
//! parent ends, the pipe closes, and the worker hands its job back and exits too.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, ChildStdin, Command};

use super::WorkerArgs;
use crate::log::LogFormat;
use crate::queue::ServerSettings;

/// Settings of a worker process other than its arguments.
#[derive(Debug, Clone, Copy)]
pub struct WorkerEnvironment<'a> {
    /// The worker program.
    pub program: &'a Path,
    /// The format of its logs.
    pub log_format: LogFormat,
    /// The Redis that it connects to.
    pub redis: &'a ServerSettings,
    /// The value of `CUDA_VISIBLE_DEVICES`; `None` leaves it as it is here.
    pub gpu: Option<&'a str>,
}

impl WorkerEnvironment<'_> {
    /// Returns the command that starts a worker with these arguments.
    #[must_use]
    pub fn command(&self, args: &WorkerArgs) -> Command {
        let mut command = Command::new(self.program);
        command.args(["--log-format", self.log_format.name(), "run"]);
        command.args(args.to_arguments());
        command.envs(self.gpu.map(|gpu| (VISIBLE_DEVICES, gpu)));
        set_redis(&mut command, self.redis);
        command
    }
}

/// Passes the address and credentials in the environment, because every user of the machine can
/// read the arguments. Removes those of another Redis.
fn set_redis(command: &mut Command, redis: &ServerSettings) {
    for name in ServerSettings::VARIABLES {
        command.env_remove(name);
    }
    command.envs(redis.environment());
}

/// A running worker process.
#[derive(Debug)]
pub struct WorkerProcess {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl WorkerProcess {
    /// Starts a worker with a pipe as stdin.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        // Waiting for a child closes its stdin if the child still owns it.
        let stdin = child.stdin.take();
        Ok(Self { child, stdin })
    }

    /// Returns the process id, or `None` if the process has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Returns the exit status if the process has ended.
    ///
    /// # Errors
    /// When the system does not know the process.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits until the process ends. Its stdin stays open.
    ///
    /// # Errors
    /// When the system does not know the process.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Closes stdin, which asks the worker to hand its job back and exit.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits until the process ends, and kills it after `patience`.
    pub async fn wait_or_kill(&mut self, patience: Duration) {
        let ended = tokio::time::timeout(patience, self.child.wait()).await;
        if ended.is_err() {
            self.child.start_kill().ok();
            self.child.wait().await.ok();
        }
    }
}

const VISIBLE_DEVICES: &str = "CUDA_VISIBLE_DEVICES";

/// Returns the values of `CUDA_VISIBLE_DEVICES` that select one of this machine's `installed` GPUs
/// each, limited to those that this process may use.
#[must_use]
pub fn visible_gpus(installed: usize) -> Vec<String> {
    gpu_names(installed, std::env::var(VISIBLE_DEVICES).ok().as_deref())
}

fn gpu_names(installed: usize, visible: Option<&str>) -> Vec<String> {
    match visible {
        Some(names) if installed > 0 => split_names(names),
        _ => (0..installed).map(|number| number.to_string()).collect(),
    }
}

fn split_names(names: &str) -> Vec<String> {
    let names = names.split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty() && *name != "-1")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::DeviceArgs;

    #[test]
    fn each_visible_gpu_is_selected_by_its_name_or_number() {
        assert_eq!(gpu_names(2, None), ["0", "1"]);
        assert_eq!(gpu_names(3, Some("4, GPU-ab,6")), ["4", "GPU-ab", "6"]);
        assert_eq!(gpu_names(2, Some("")), [""; 0]);
        assert_eq!(gpu_names(2, Some("-1")), [""; 0]);
        assert_eq!(gpu_names(0, Some("0,1")), [""; 0]);
    }

    #[test]
    fn a_command_has_the_redis_in_its_environment_and_not_in_its_arguments() {
        let redis = ServerSettings {
            url: "redis://host:7000".to_owned(),
            ..ServerSettings::default()
        };
        let args = WorkerArgs {
            device: DeviceArgs {
                device: "cpu".to_owned(),
                threads: None,
            },
            sweeps: Vec::new(),
            roots: Vec::new(),
            name: None,
            exit_when_idle: true,
            stop_with_stdin: false,
        };
        let environment = WorkerEnvironment {
            program: Path::new("ddrs-worker"),
            log_format: LogFormat::Json,
            redis: &redis,
            gpu: Some("GPU-ab"),
        };
        let command = environment.command(&args);
        let command = command.as_std();
        assert_eq!(
            command.get_args().collect::<Vec<_>>(),
            [
                "--log-format",
                "json",
                "run",
                "--device=cpu",
                "--exit-when-idle"
            ]
        );
        let set = |name: &str| {
            let found = command.get_envs().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.map(|value| value.to_string_lossy().into_owned()))
        };
        assert_eq!(
            set("DDRS_REDIS"),
            Some(Some("redis://host:7000".to_owned()))
        );
        assert_eq!(set("DDRS_REDIS_PASSWORD"), Some(None), "not removed");
        assert_eq!(set(VISIBLE_DEVICES), Some(Some("GPU-ab".to_owned())));
    }
}
