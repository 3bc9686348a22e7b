//! Local workers: started, watched, started again when they die, and told to stop.
//!
//! Each worker's stdin is a pipe that this process holds open and never writes to. However this process ends, the pipe
//! closes, and the worker hands its job back and ends too.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};
use tracing::warn;

use crate::exit::BadInput;

/// How often workers may die one after the other without a single new record.
const DEATHS_IN_VAIN: u32 = 5;

/// What every worker of a run is told.
#[derive(Debug, Clone)]
pub(super) struct WorkerSettings {
    /// Where Redis is.
    pub(super) redis: String,
    /// The sweep to work on.
    pub(super) sweep: String,
    /// `auto`, `cpu` or `cuda:N`.
    pub(super) device: String,
    /// Folders and files that it may open.
    pub(super) roots: Vec<PathBuf>,
    /// Where its log goes.
    pub(super) logs: PathBuf,
    /// `text` or `json`.
    pub(super) log_format: &'static str,
}

/// The local workers of a run.
pub(super) struct Workers {
    program: PathBuf,
    settings: WorkerSettings,
    count: u32,
    children: Vec<Option<Child>>,
    deaths_in_vain: u32,
    /// Names of workers that died since they were last asked for.
    dead: Vec<String>,
}

impl Workers {
    /// Starts `count` workers.
    ///
    /// # Errors
    /// When the worker program is not there or does not start.
    pub(super) fn start(settings: WorkerSettings, count: u32) -> Result<Self> {
        fs::create_dir_all(&settings.logs).with_context(|| format!("cannot create {}", settings.logs.display()))?;
        let mut workers =
            Self { program: program()?, settings, count, children: Vec::new(), deaths_in_vain: 0, dead: Vec::new() };
        for number in 0..count {
            let child = workers.spawn(number)?;
            workers.children.push(Some(child));
        }
        Ok(workers)
    }

    /// Looks after the workers: one that was killed or failed is started again, unless they die one after the other
    /// with nothing to show for it. `progress`: whether a record came since the last call.
    ///
    /// # Errors
    /// When a worker refuses the sweep, or dying goes on; the message ends with the worker's last words.
    pub(super) fn tend(&mut self, progress: bool) -> Result<()> {
        if progress {
            self.deaths_in_vain = 0;
        }
        for number in 0..self.count {
            let slot = number as usize;
            let Some(status) = self.ended(slot)? else { continue };
            self.children[slot] = None;
            match status.code() {
                Some(0) => {}
                Some(2) => {
                    bail!(BadInput::new(format!("worker {number} refused the sweep: {}", self.last_words(number))))
                }
                _ => {
                    self.dead.push(name(number));
                    self.deaths_in_vain += 1;
                    let words = self.last_words(number);
                    if self.deaths_in_vain >= DEATHS_IN_VAIN {
                        bail!(
                            "workers ended {} times without certifying a sample; the last ({status}) said: {words}",
                            self.deaths_in_vain
                        );
                    }
                    warn!(worker = number, %status, "a worker ended; starting another");
                    self.children[slot] = Some(self.spawn(number)?);
                }
            }
        }
        Ok(())
    }

    /// The names of workers that died since the last call: nobody renews their leases.
    pub(super) fn take_dead(&mut self) -> Vec<String> {
        std::mem::take(&mut self.dead)
    }

    /// Whether any worker still runs.
    #[must_use]
    pub(super) fn running(&self) -> bool {
        self.children.iter().any(Option::is_some)
    }

    /// Starts the workers again that ended because there was nothing to do, e.g. before a lapsed job came back.
    ///
    /// # Errors
    /// When one does not start.
    pub(super) fn revive(&mut self) -> Result<()> {
        for number in 0..self.count {
            if self.children[number as usize].is_none() {
                self.children[number as usize] = Some(self.spawn(number)?);
            }
        }
        Ok(())
    }

    /// Tells all to hand their jobs back and end; kills those that have not after `patience`.
    pub(super) async fn stop(&mut self, patience: Duration) {
        for child in self.children.iter_mut().flatten() {
            drop(child.stdin.take());
        }
        for child in self.children.iter_mut().flatten() {
            if tokio::time::timeout(patience, child.wait()).await.is_err() {
                child.start_kill().ok();
                child.wait().await.ok();
            }
        }
        self.children.fill_with(|| None);
    }

    fn ended(&mut self, slot: usize) -> io::Result<Option<ExitStatus>> {
        self.children[slot].as_mut().map_or(Ok(None), Child::try_wait)
    }

    fn spawn(&self, number: u32) -> Result<Child> {
        let log_path = self.log(number);
        let log = File::options().create(true).append(true).open(&log_path);
        let log = log.with_context(|| format!("cannot write {}", log_path.display()))?;
        let settings = &self.settings;
        let mut command = Command::new(&self.program);
        command.args(["--log-format", settings.log_format, "run", "--exit-when-idle", "--stop-with-stdin"]);
        command.args(["--redis", &settings.redis, "--sweep", &settings.sweep, "--device", &self.device(number)]);
        command.args(["--threads", &self.threads().to_string(), "--name", &name(number)]);
        for root in &settings.roots {
            command.arg("--root").arg(root);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        command.spawn().with_context(|| format!("cannot start {}", self.program.display()))
    }

    /// Workers on `auto` share the GPUs out among themselves.
    fn device(&self, number: u32) -> String {
        match gpus() {
            0 => self.settings.device.clone(),
            gpus if self.settings.device == "auto" => format!("cuda:{}", number % gpus),
            _ => self.settings.device.clone(),
        }
    }

    /// Cores are shared out evenly.
    fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (cores / self.count.max(1) as usize).max(1)
    }

    fn log(&self, number: u32) -> PathBuf {
        self.settings.logs.join(format!("worker-{number}.log"))
    }

    fn last_words(&self, number: u32) -> String {
        let path = self.log(number);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut last: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
        last.reverse();
        if last.is_empty() { format!("nothing (see {})", path.display()) } else { last.join("; ") }
    }
}

/// What records call a local worker: its machine, its run and its number.
fn name(number: u32) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}-{number}", host.trim(), std::process::id())
}

/// How many workers a run starts when it is not told: one a GPU, else one.
#[must_use]
pub(super) fn default_count(device: &str) -> u32 {
    if device == "auto" { gpus().max(1) } else { 1 }
}

/// The GPUs of this machine, as the NVIDIA driver lists them, or as `CUDA_VISIBLE_DEVICES` narrows them.
fn gpus() -> u32 {
    let all = fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count) as u32;
    match std::env::var("CUDA_VISIBLE_DEVICES") {
        Ok(visible) => {
            all.min(visible.split(',').filter(|id| !id.trim().is_empty() && id.trim() != "-1").count() as u32)
        }
        Err(_) => all,
    }
}

/// The worker program: `DDRS_WORKER`, or the one beside this program, or the one on the path.
pub fn program() -> Result<PathBuf> {
    const NAME: &str = "ddrs-worker";
    if let Some(named) = std::env::var_os("DDRS_WORKER") {
        return Ok(named.into());
    }
    let beside = std::env::current_exe().ok().and_then(|here| here.parent().map(|dir| dir.join(NAME)));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        beside.into_iter().chain(std::env::split_paths(&on_path).map(|dir| dir.join(NAME))).find(|p| is_file(p));
    found.context("no ddrs-worker beside this program or on the path; name it with DDRS_WORKER")
}

fn is_file(path: &Path) -> bool {
    path.is_file()
}
