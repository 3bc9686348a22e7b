//! One program with a time limit.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// The exit code of a program that SIGTERM ended because its time was up, as timeout(1) has it.
pub(crate) const TIME_UP: i32 = 124;
/// The exit code of a program that SIGKILL had to end.
const KILLED: i32 = 137;
/// The time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// Starts a program in a new process group, so that the processes that it starts end with it.
pub(crate) fn start(command: &mut Command) -> io::Result<Child> {
    command.process_group(0).spawn()
}

/// Runs a program until it ends or the deadline passes, and returns its exit code.
pub(crate) fn run_until(command: &mut Command, deadline: Instant) -> io::Result<i32> {
    let mut child = start(command)?;
    if let Some(status) = wait_until(&mut child, deadline)? {
        return Ok(exit_code(status));
    }
    end(&mut child)
}

/// Ends a program whose time is up, and returns its exit code.
fn end(child: &mut Child) -> io::Result<i32> {
    signal_group(child, Signal::TERM);
    if ends_in_grace(child)? {
        return Ok(TIME_UP);
    }
    kill(child)?;
    Ok(KILLED)
}

fn ends_in_grace(child: &mut Child) -> io::Result<bool> {
    let status = wait_until(child, Instant::now() + GRACE)?;
    Ok(status.is_some())
}

/// Kills a program and every process of its group.
pub(crate) fn kill(child: &mut Child) -> io::Result<()> {
    signal_group(child, Signal::KILL);
    child.wait().map(drop)
}

fn wait_until(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        sleep(Duration::from_millis(20));
    }
    child.try_wait()
}

fn signal_group(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // The group is gone if its last process has just ended.
        kill_process_group(group, signal).ok();
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    let signal = || status.signal().map_or(1, |signal| 128 + signal);
    status.code().unwrap_or_else(signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: u64) -> i32 {
        let deadline = Instant::now() + Duration::from_millis(limit);
        run_until(Command::new("sh").args(["-c", script]), deadline).unwrap_or(-1)
    }

    #[test]
    fn a_program_that_ends_in_time_gives_its_own_code() {
        assert_eq!(shell("exit 3", 10_000), 3);
        assert_eq!(shell("kill -9 $$", 10_000), 137);
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended_with_what_it_started() {
        let started = Instant::now();
        assert_eq!(shell("sleep 60; true", 100), TIME_UP);
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
