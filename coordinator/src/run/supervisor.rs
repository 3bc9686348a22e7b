//! Supervises the local workers of a run: starts them, restarts those that die, and stops them.

use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use ddrs_common::cli::{BadInput, ExitCode, WorkerProcess};
use tracing::warn;

use super::launcher::{Launcher, WorkerSettings, worker_name};

/// The number of consecutive exits without work at which the run fails.
const MAX_IDLE_EXITS: u32 = 5;
/// The delay before a restart, by the number of consecutive deaths without a job. The cause of the
/// deaths may be temporary.
const RESTART_DELAYS: [Duration; MAX_IDLE_EXITS as usize] = [
    Duration::ZERO,
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
];

/// A worker that was killed or failed.
pub(super) struct WorkerDeath {
    number: u32,
    status: ExitStatus,
    /// Its name in leases.
    pub(super) worker: String,
}

/// The local workers of a run.
pub(super) struct WorkerSupervisor {
    launcher: Launcher,
    slots: Vec<WorkerSlot>,
    /// Consecutive deaths of workers that held no job.
    deaths_without_job: u32,
    /// Consecutive times that all workers exited while jobs were waiting.
    exits_without_work: u32,
    /// True once a record arrived: then workers can open the sweep.
    has_worked: bool,
}

/// The place of one worker.
enum WorkerSlot {
    Empty,
    RestartAt(Instant),
    Running(WorkerProcess),
}

impl WorkerSupervisor {
    /// Starts `count` workers.
    ///
    /// # Errors
    /// When there is no worker program, or it does not start.
    pub(super) fn start(settings: WorkerSettings, count: u32) -> Result<Self> {
        let launcher = Launcher::new(settings, count)?;
        let slots = (0..count)
            .map(|number| Ok(WorkerSlot::Running(launcher.start(number)?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            launcher,
            slots,
            deaths_without_job: 0,
            exits_without_work: 0,
            has_worked: false,
        })
    }

    /// Starts the workers whose restart is due, and returns those that died since the last call.
    /// Call [`Self::restart`] for each of them.
    ///
    /// # Errors
    /// When a worker refuses the sweep and no worker has worked on it yet. The message ends with
    /// the last line of the worker's log.
    pub(super) fn check(&mut self) -> Result<Vec<WorkerDeath>> {
        let mut deaths = Vec::new();
        for number in 0..self.slots.len() as u32 {
            self.start_if_due(number)?;
            if let Some(status) = self.take_exit_status(number)? {
                deaths.extend(self.death(number, status)?);
            }
        }
        Ok(deaths)
    }

    fn start_if_due(&mut self, number: u32) -> Result<()> {
        if self.slots[number as usize].is_due() {
            self.start_worker(number)?;
        }
        Ok(())
    }

    fn start_worker(&mut self, number: u32) -> Result<()> {
        self.slots[number as usize] = WorkerSlot::Running(self.launcher.start(number)?);
        Ok(())
    }

    /// Returns the exit status of a worker that has ended, and empties its slot.
    fn take_exit_status(&mut self, number: u32) -> io::Result<Option<ExitStatus>> {
        let slot = &mut self.slots[number as usize];
        let status = slot.exit_status()?;
        if status.is_some() {
            *slot = WorkerSlot::Empty;
        }
        Ok(status)
    }

    fn death(&self, number: u32, status: ExitStatus) -> Result<Option<WorkerDeath>> {
        if status.success() {
            return Ok(None);
        }
        if ExitCode::BadInput.is_code_of(status) && !self.has_worked {
            return Err(self.refusal(number).into());
        }
        Ok(Some(WorkerDeath {
            number,
            status,
            worker: worker_name(number),
        }))
    }

    fn refusal(&self, number: u32) -> BadInput {
        let line = self.launcher.last_log_line(number);
        BadInput::new(format!("worker {number} refused the sweep: {line}"))
    }

    /// Schedules the restart of a worker that died. `held_job` says that it held a job. The death
    /// then costs the job an attempt; deaths without a job cost nothing, so their number is
    /// limited here.
    ///
    /// # Errors
    /// When workers died too many times in a row without a job. The message ends with the last line
    /// of the last worker's log.
    pub(super) fn restart(&mut self, death: &WorkerDeath, held_job: bool) -> Result<()> {
        let WorkerDeath { number, status, .. } = *death;
        self.count_death(death, held_job)?;
        warn!(worker = number, %status, "a worker ended; starting another");
        let when = Instant::now() + self.restart_delay();
        self.slots[number as usize] = WorkerSlot::RestartAt(when);
        Ok(())
    }

    fn count_death(&mut self, death: &WorkerDeath, held_job: bool) -> Result<()> {
        if held_job {
            self.deaths_without_job = 0;
            return Ok(());
        }
        self.deaths_without_job += 1;
        if self.deaths_without_job >= MAX_IDLE_EXITS {
            bail!(self.too_many_deaths(death));
        }
        Ok(())
    }

    fn too_many_deaths(&self, death: &WorkerDeath) -> String {
        format!(
            "workers ended {MAX_IDLE_EXITS} times in a row; the last ({}) said: {}",
            death.status,
            self.launcher.last_log_line(death.number)
        )
    }

    fn restart_delay(&self) -> Duration {
        if self.has_worked {
            RESTART_DELAYS[self.deaths_without_job as usize]
        } else {
            // If no worker could work on the sweep so far, waiting will not help.
            Duration::ZERO
        }
    }

    /// Notes that records arrived: whatever the cause of earlier deaths, some workers can work.
    pub(super) fn note_records(&mut self) {
        self.deaths_without_job = 0;
        self.exits_without_work = 0;
        self.has_worked = true;
    }

    /// Returns true if a worker runs or will be restarted.
    #[must_use]
    pub(super) fn any_active(&self) -> bool {
        !self.slots.iter().all(WorkerSlot::is_empty)
    }

    /// Starts the workers again that exited because there was nothing to do, for example before
    /// the job of an expired lease came back.
    ///
    /// # Errors
    /// When a worker does not start, or all workers keep exiting without a record while jobs wait.
    pub(super) fn restart_idle(&mut self) -> Result<()> {
        if self.slots.is_empty() {
            // Only workers on other machines are used.
            return Ok(());
        }
        self.count_idle_exit()?;
        warn!("the workers ended while jobs wait; starting them again");
        self.start_empty_slots()
    }

    fn start_empty_slots(&mut self) -> Result<()> {
        for number in 0..self.slots.len() as u32 {
            if self.slots[number as usize].is_empty() {
                self.start_worker(number)?;
            }
        }
        Ok(())
    }

    fn count_idle_exit(&mut self) -> Result<()> {
        self.exits_without_work += 1;
        if self.exits_without_work > MAX_IDLE_EXITS {
            bail!(self.too_many_idle_exits());
        }
        Ok(())
    }

    fn too_many_idle_exits(&self) -> String {
        format!(
            "workers ended {MAX_IDLE_EXITS} times in a row without an error and without working, \
             while jobs wait; is {} a ddrs-worker? The last said: {}",
            self.launcher.program().display(),
            self.launcher.last_log_line(0)
        )
    }

    /// Asks all workers to hand their jobs back and exit; kills those that have not after
    /// `patience`.
    pub(super) async fn stop(&mut self, patience: Duration) {
        let mut processes = self.take_processes();
        processes.iter_mut().for_each(WorkerProcess::close_stdin);
        for process in &mut processes {
            process.wait_or_kill(patience).await;
        }
    }

    fn take_processes(&mut self) -> Vec<WorkerProcess> {
        let slots = self.slots.drain(..);
        slots.filter_map(WorkerSlot::into_process).collect()
    }
}

impl WorkerSlot {
    fn is_due(&self) -> bool {
        matches!(self, Self::RestartAt(when) if *when <= Instant::now())
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn exit_status(&mut self) -> io::Result<Option<ExitStatus>> {
        match self {
            Self::Running(process) => process.try_wait(),
            Self::Empty | Self::RestartAt(_) => Ok(None),
        }
    }

    fn into_process(self) -> Option<WorkerProcess> {
        match self {
            Self::Running(process) => Some(process),
            Self::Empty | Self::RestartAt(_) => None,
        }
    }
}
