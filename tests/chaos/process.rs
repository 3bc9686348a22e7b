//! Starts and signals the processes of a case, and finds processes that are left over.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::TestDir;

/// The longest time that [`wait_for`] waits.
const WAIT_LIMIT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(2);

/// A running worker. It is killed on drop.
pub struct TestWorker {
    /// The name of the worker in leases.
    pub name: String,
    child: Child,
}

impl TestWorker {
    /// Starts `ddrs-worker run` on the Redis at `url`, with its log in `dir`.
    #[must_use]
    pub fn start(dir: &TestDir, url: &str, name: &str, more: &[&str]) -> Self {
        Self::start_in(dir, url, name, &[], more)
    }

    /// Starts the worker with additional environment variables.
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

    /// Sends a signal to the worker.
    pub fn signal(&self, which: Signal) {
        signal(&self.child, which);
    }

    /// Stops the worker with SIGSTOP, and returns when it has stopped.
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

    /// Kills the worker with SIGKILL and waits for its end.
    pub fn kill(mut self) {
        self.child
            .kill()
            .expect("a worker that was not yet waited for");
        self.child.wait().expect("a dead worker");
    }

    /// Waits for the exit status. Panics if the worker does not end within the limit.
    pub fn wait(mut self) -> ExitStatus {
        wait_for(&format!("the end of {}", self.name), || {
            self.child.try_wait().expect("a child")
        })
    }

    /// Returns the exit status if the worker has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }
}

impl Drop for TestWorker {
    fn drop(&mut self) {
        // Both calls may fail if the process has already ended.
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

/// Calls `look` repeatedly until it returns a value.
///
/// # Panics
/// Panics if `look` returns no value for three minutes.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WAIT_LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} in {WAIT_LIMIT:?}");
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

/// Returns the command lines of processes whose working directory is in a folder or whose arguments
/// contain the folder.
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
