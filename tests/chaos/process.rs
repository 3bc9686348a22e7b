//! Processes that are meant to be hurt, and looking for those that were left behind.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::TestDir;

/// Longer than anything takes on a machine that works at all.
const PATIENCE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(2);

/// A worker. Killed when this is dropped.
pub struct WorkerProcess {
    /// What leases call it.
    pub name: String,
    child: Child,
}

impl WorkerProcess {
    /// Starts `ddrs-worker run` on the Redis at `url`, with a log of its own in `dir`.
    #[must_use]
    pub fn start(dir: &TestDir, url: &str, name: &str, more: &[&str]) -> Self {
        Self::start_in(dir, url, name, &[], more)
    }

    /// The same, with more in its environment.
    #[must_use]
    pub fn start_in(
        dir: &TestDir,
        url: &str,
        name: &str,
        environment: &[(&str, String)],
        more: &[&str],
    ) -> Self {
        let log = fs::File::create(dir.path(&format!("{name}.log"))).expect("a log");
        let mut command = dir.worker();
        command
            .args(["run", "--device", "cpu", "--threads", "1", "--name", name])
            .args(more)
            .env("DDRS_REDIS", url);
        command.envs(environment.iter().map(|(key, value)| (key, value)));
        Self {
            name: name.to_owned(),
            child: spawn(command.stderr(log)),
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, which: Signal) {
        signal(&self.child, which);
    }

    /// Stops it, and returns when it has stopped.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.child.id());
        wait_for("stopped worker", || {
            let stat = fs::read_to_string(&stat).expect("a process");
            // pid (name) state ...
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('T'))
                .then_some(())
        });
    }

    /// Ends it at once, and takes its body away.
    pub fn kill(mut self) {
        self.child.kill().expect("a worker that was not waited for");
        self.child.wait().expect("a dead worker");
    }

    /// How it ended; panics when it does not.
    pub fn wait(mut self) -> ExitStatus {
        wait_for(&format!("the end of {}", self.name), || {
            self.child.try_wait().expect("a child")
        })
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // Either may fail on one that has ended, which is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Sends a signal to a child that has not been waited for.
pub fn signal(child: &Child, which: Signal) {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id");
    kill_process(pid, which).expect("a child that can be signalled");
}

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none for three minutes.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} in {PATIENCE:?}");
        sleep(POLL);
    }
}

pub(super) fn spawn(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("a program that starts")
}

/// Starts a program whose stderr is appended to a file.
pub(super) fn spawn_logged(command: &mut Command, log: &Path) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(log)
        .expect("a log");
    spawn(command.stderr(log))
}

/// The command lines of processes that work in a folder or have it in their arguments.
pub(super) fn processes_in(folder: &Path) -> Vec<String> {
    let name = folder.to_string_lossy().into_owned();
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let mut found = Vec::new();
    for process in entries.map(|entry| entry.path()) {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let inside = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        if inside || line.contains(&name) {
            found.push(format!("{} {line}", process.display()));
        }
    }
    found
}
