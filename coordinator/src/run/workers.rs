//! Local workers: started, watched, started again when they die, and told to stop.
//!
//! Each worker's stdin is a pipe that this process holds open and never writes to. However this
//! process ends, the pipe closes, and the worker hands its job back and ends too.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ddrs_common::host;
use ddrs_common::queue::ServerSettings;
use tokio::process::{Child, Command};
use tracing::warn;

use crate::worker_program;
use ddrs_common::cli::{BadInput, LogFormat};

/// How often workers may die one after the other without a job.
const DEATHS_IN_VAIN: u32 = 5;
/// How long after each of these the next one is started: what they die of may pass.
const PAUSES: [Duration; DEATHS_IN_VAIN as usize] = [
    Duration::ZERO,
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
];

/// What every worker of a run is told.
#[derive(Debug, Clone)]
pub(super) struct WorkerSettings {
    /// Where Redis is.
    pub(super) redis: ServerSettings,
    /// The sweep to work on.
    pub(super) sweep: String,
    /// `auto`, `cpu` or `cuda:N`.
    pub(super) device: String,
    /// Folders and files that it may open.
    pub(super) roots: Vec<PathBuf>,
    /// Where its log goes.
    pub(super) logs: PathBuf,
    pub(super) log_format: LogFormat,
}

/// A worker that was killed or failed.
pub(super) struct Death {
    number: u32,
    status: ExitStatus,
    /// What its leases call it.
    pub(super) worker: String,
}

/// The local workers of a run.
pub(super) struct Workers {
    program: PathBuf,
    settings: WorkerSettings,
    count: u32,
    children: Vec<Slot>,
    deaths_in_vain: u32,
    ends_in_vain: u32,
    /// Whether there were records: then the sweep is one that workers can open.
    worked: bool,
}

/// The place of one worker.
enum Slot {
    Empty,
    /// To be started at this time.
    Due(Instant),
    Running(Child),
}

impl Workers {
    /// Starts `count` workers.
    ///
    /// # Errors
    /// When the worker program is not there or does not start.
    pub(super) fn start(settings: WorkerSettings, count: u32) -> Result<Self> {
        fs::create_dir_all(&settings.logs)
            .with_context(|| format!("cannot create {}", settings.logs.display()))?;
        let children = Vec::new();
        // None is needed where other machines' workers do the work.
        let program = if count == 0 {
            PathBuf::new()
        } else {
            worker_program::find()?
        };
        let mut workers = Self {
            program,
            settings,
            count,
            children,
            deaths_in_vain: 0,
            ends_in_vain: 0,
            worked: false,
        };
        for number in 0..count {
            let child = workers.spawn(number)?;
            workers.children.push(Slot::Running(child));
        }
        Ok(workers)
    }

    /// Notices workers that have ended. Those that were killed or failed are named, and wait for
    /// [`Self::replace`]. Starts those that are due.
    ///
    /// # Errors
    /// When a worker refuses the sweep, which none has done any work on; the message ends with the
    /// worker's last words.
    pub(super) fn tend(&mut self) -> Result<Vec<Death>> {
        let mut deaths = Vec::new();
        for number in 0..self.count {
            let slot = number as usize;
            if matches!(self.children[slot], Slot::Due(when) if when <= Instant::now()) {
                self.children[slot] = Slot::Running(self.spawn(number)?);
            }
            let Some(status) = self.ended(slot)? else {
                continue;
            };
            self.children[slot] = Slot::Empty;
            match status.code() {
                Some(0) => {}
                Some(2) if !self.worked => {
                    bail!(BadInput::new(format!(
                        "worker {number} refused the sweep: {}",
                        self.last_words(number)
                    )))
                }
                _ => deaths.push(Death {
                    number,
                    status,
                    worker: name(number),
                }),
            }
        }
        Ok(deaths)
    }

    /// Starts another worker in place of one that died. `with_job`: whether it held a job, which is
    /// charged for it; deaths without one come to nothing but more of them.
    ///
    /// # Errors
    /// When workers die one after the other without a job; the message ends with the last one's
    /// last words.
    pub(super) fn replace(&mut self, death: &Death, with_job: bool) -> Result<()> {
        let Death { number, status, .. } = *death;
        self.deaths_in_vain = if with_job { 0 } else { self.deaths_in_vain + 1 };
        if self.deaths_in_vain >= DEATHS_IN_VAIN {
            let words = self.last_words(number);
            bail!(
                "workers ended {DEATHS_IN_VAIN} times in a row; the last ({status}) said: {words}"
            );
        }
        warn!(worker = number, %status, "a worker ended; starting another");
        // What none has worked on will not do by waiting.
        let pause = if self.worked {
            PAUSES[self.deaths_in_vain as usize]
        } else {
            Duration::ZERO
        };
        self.children[number as usize] = Slot::Due(Instant::now() + pause);
        Ok(())
    }

    /// Records came: whatever workers died of before, some can work.
    pub(super) fn succeeded(&mut self) {
        (self.deaths_in_vain, self.ends_in_vain, self.worked) = (0, 0, true);
    }

    /// Whether any worker still runs, or is about to.
    #[must_use]
    pub(super) fn running(&self) -> bool {
        self.children
            .iter()
            .any(|slot| !matches!(slot, Slot::Empty))
    }

    /// Starts the workers again that ended because there was nothing to do, e.g. before a lapsed
    /// job came back.
    ///
    /// # Errors
    /// When one does not start, or all end again and again as if there were nothing to do, without
    /// a record.
    pub(super) fn revive(&mut self) -> Result<()> {
        if self.count == 0 {
            // Other machines' workers do the work.
            return Ok(());
        }
        self.ends_in_vain += 1;
        if self.ends_in_vain > DEATHS_IN_VAIN {
            let (program, words) = (self.program.display(), self.last_words(0));
            bail!(
                "workers ended {DEATHS_IN_VAIN} times in a row without an error and without working, while jobs wait; is \
                 {program} a ddrs-worker? The last said: {words}"
            );
        }
        warn!("the workers ended while jobs wait; starting them again");
        for number in 0..self.count {
            if matches!(self.children[number as usize], Slot::Empty) {
                self.children[number as usize] = Slot::Running(self.spawn(number)?);
            }
        }
        Ok(())
    }

    /// Tells all to hand their jobs back and end; kills those that have not after `patience`.
    pub(super) async fn stop(&mut self, patience: Duration) {
        let mut children: Vec<Child> = std::mem::take(&mut self.children)
            .into_iter()
            .filter_map(Slot::child)
            .collect();
        for child in &mut children {
            drop(child.stdin.take());
        }
        for child in &mut children {
            if tokio::time::timeout(patience, child.wait()).await.is_err() {
                child.start_kill().ok();
                child.wait().await.ok();
            }
        }
    }

    fn ended(&mut self, slot: usize) -> io::Result<Option<ExitStatus>> {
        match &mut self.children[slot] {
            Slot::Running(child) => child.try_wait(),
            Slot::Empty | Slot::Due(_) => Ok(None),
        }
    }

    fn spawn(&self, number: u32) -> Result<Child> {
        let log_path = self.log(number);
        let log = File::options().create(true).append(true).open(&log_path);
        let log = log.with_context(|| format!("cannot write {}", log_path.display()))?;
        let settings = &self.settings;
        let mut command = Command::new(&self.program);
        command.args([
            "--log-format",
            settings.log_format.name(),
            "run",
            "--exit-when-idle",
            "--stop-with-stdin",
        ]);
        // Not in the arguments, which every user of the machine can read. What this process was
        // told by its own environment of another Redis must not reach a worker either.
        for name in ServerSettings::VARIABLES {
            command.env_remove(name);
        }
        command.envs(settings.redis.environment());
        command.args(["--sweep", &settings.sweep, "--device", &settings.device]);
        if let Some(gpu) = self.gpu(number) {
            command.env("CUDA_VISIBLE_DEVICES", gpu);
        }
        command.args([
            "--threads",
            &self.threads().to_string(),
            "--name",
            &name(number),
        ]);
        for root in &settings.roots {
            command.arg("--root").arg(root);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log);
        command
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))
    }

    /// The one GPU that a worker on `auto` sees: they share the GPUs out among themselves.
    fn gpu(&self, number: u32) -> Option<String> {
        let gpus = gpus();
        (self.settings.device == "auto" && !gpus.is_empty())
            .then(|| gpus[number as usize % gpus.len()].clone())
    }

    /// Cores are shared out evenly.
    fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (cores / self.count.max(1) as usize).max(1)
    }

    fn log(&self, number: u32) -> PathBuf {
        self.settings.logs.join(format!("worker-{number}.log"))
    }

    /// The last line of a worker's log: why it ended, if it could say so.
    fn last_words(&self, number: u32) -> String {
        let path = self.log(number);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        last.map_or_else(
            || format!("nothing (see {})", path.display()),
            str::to_owned,
        )
    }
}

impl Slot {
    fn child(self) -> Option<Child> {
        match self {
            Self::Running(child) => Some(child),
            Self::Empty | Self::Due(_) => None,
        }
    }
}

/// What records call a local worker: its machine, its run and its number.
fn name(number: u32) -> String {
    format!("{}-{}-{number}", host::name(), std::process::id())
}

/// How many workers a run starts when it is not told: one a GPU, else one.
#[must_use]
pub(super) fn default_count(device: &str) -> u32 {
    if device == "auto" {
        gpus().len().max(1) as u32
    } else {
        1
    }
}

/// The GPUs of this machine, as the NVIDIA driver counts them, or as `CUDA_VISIBLE_DEVICES` names
/// them.
fn gpus() -> Vec<String> {
    let all = fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count);
    match std::env::var("CUDA_VISIBLE_DEVICES") {
        Ok(visible) if all > 0 => visible
            .split(',')
            .map(str::trim)
            .filter(|id| !id.is_empty() && *id != "-1")
            .map(str::to_owned)
            .collect(),
        _ => (0..all).map(|number| number.to_string()).collect(),
    }
}
