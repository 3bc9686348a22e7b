//! Starts the local workers of a run: one process, one log file, and one GPU if there are any.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result};
use ddrs_common::cli::{
    DeviceArgs, LogFormat, WorkerArgs, WorkerEnvironment, WorkerProcess, visible_gpus,
};
use ddrs_common::domain::SweepId;
use ddrs_common::host;
use ddrs_common::queue::ServerSettings;

use crate::worker_program;

/// Settings of every worker of a run.
#[derive(Debug, Clone)]
pub(super) struct WorkerSettings {
    pub(super) redis: ServerSettings,
    pub(super) sweep: SweepId,
    /// `auto`, `cpu` or `cuda:N`.
    pub(super) device: String,
    /// Folders and files that a worker may open.
    pub(super) roots: Vec<PathBuf>,
    /// Folder of the logs.
    pub(super) logs: PathBuf,
    pub(super) log_format: LogFormat,
}

/// Starts workers by their numbers.
#[derive(Debug)]
pub(super) struct Launcher {
    program: PathBuf,
    settings: WorkerSettings,
    count: u32,
    gpus: Vec<String>,
}

impl Launcher {
    /// Finds the worker program and creates the folder of the logs.
    ///
    /// # Errors
    /// When there is no worker program, or the folder cannot be created.
    pub(super) fn new(settings: WorkerSettings, count: u32) -> Result<Self> {
        fs::create_dir_all(&settings.logs)
            .with_context(|| format!("cannot create {}", settings.logs.display()))?;
        Ok(Self {
            program: program_for(count)?,
            gpus: gpus_for(&settings.device),
            settings,
            count,
        })
    }

    /// The worker program.
    pub(super) fn program(&self) -> &PathBuf {
        &self.program
    }

    /// Starts a worker, which appends to its log.
    ///
    /// # Errors
    /// When the log cannot be written, or the program cannot be started.
    pub(super) fn start(&self, number: u32) -> Result<WorkerProcess> {
        let environment = self.environment(self.gpu(number));
        let mut command = environment.command(&self.arguments(number));
        command.stdout(Stdio::null()).stderr(self.open_log(number)?);
        WorkerProcess::start(command)
            .with_context(|| format!("cannot start {}", self.program.display()))
    }

    fn environment<'a>(&'a self, gpu: Option<&'a str>) -> WorkerEnvironment<'a> {
        WorkerEnvironment {
            program: &self.program,
            log_format: self.settings.log_format,
            redis: &self.settings.redis,
            gpu,
        }
    }

    fn arguments(&self, number: u32) -> WorkerArgs {
        WorkerArgs {
            device: DeviceArgs {
                device: self.settings.device.clone(),
                threads: Some(self.threads()),
            },
            sweeps: vec![self.settings.sweep.clone()],
            roots: self.settings.roots.clone(),
            name: Some(worker_name(number)),
            exit_when_idle: true,
            stop_with_stdin: true,
        }
    }

    /// Returns the GPU of a worker on `auto`. If there are more workers than GPUs, they share them.
    fn gpu(&self, number: u32) -> Option<&str> {
        let gpus = self.gpus.len().max(1);
        self.gpus.get(number as usize % gpus).map(String::as_str)
    }

    /// Returns the threads of each worker: an equal share of the cores.
    fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (cores / self.count.max(1) as usize).max(1)
    }

    fn open_log(&self, number: u32) -> Result<File> {
        let path = self.log_path(number);
        let file = File::options().create(true).append(true).open(&path);
        file.with_context(|| format!("cannot write {}", path.display()))
    }

    fn log_path(&self, number: u32) -> PathBuf {
        self.settings.logs.join(format!("worker-{number}.log"))
    }

    /// Returns the last line of a worker's log, which usually says why the worker exited.
    pub(super) fn last_log_line(&self, number: u32) -> String {
        let path = self.log_path(number);
        let text = fs::read_to_string(&path).unwrap_or_default();
        last_line(&text).map_or_else(
            || format!("nothing (see {})", path.display()),
            str::to_owned,
        )
    }
}

fn program_for(count: u32) -> Result<PathBuf> {
    if count == 0 {
        // Only workers on other machines are used.
        return Ok(PathBuf::new());
    }
    worker_program::find()
}

fn last_line(text: &str) -> Option<&str> {
    text.lines().rev().find(|line| !line.trim().is_empty())
}

/// Returns the name of a local worker in records and leases: its machine, run and number.
pub(super) fn worker_name(number: u32) -> String {
    format!("{}-{}-{number}", host::name(), std::process::id())
}

/// Returns the default number of workers: one per GPU, or 1 without a GPU.
#[must_use]
pub(super) fn default_count(device: &str) -> u32 {
    gpus_for(device).len().max(1) as u32
}

/// Returns the GPUs that workers share out. With a device other than `auto`, each worker uses the
/// device that is named.
fn gpus_for(device: &str) -> Vec<String> {
    if device == "auto" {
        visible_gpus(installed_gpus())
    } else {
        Vec::new()
    }
}

/// Counts the GPUs that the NVIDIA driver shows.
fn installed_gpus() -> usize {
    fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count)
}
