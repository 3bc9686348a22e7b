//! A `run` that is in progress.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};

use super::process::spawn_logged;
use super::{RedisServer, wait_for};
use crate::TestDir;

/// A running `run sweep.toml --out out` with two workers. It is killed on drop.
pub(super) struct RunningCoordinator {
    child: Child,
    log: PathBuf,
}

impl RunningCoordinator {
    /// Starts `run` on the given server, or lets it start its private one. Returns when the first
    /// record is in the file.
    pub(super) fn start(dir: &TestDir, redis: Option<&RedisServer>) -> Self {
        let mut command = dir.coordinator();
        command.args(["run", "sweep.toml", "--out", "out"]).args([
            "--workers",
            "2",
            "--device",
            "cpu",
        ]);
        if let Some(redis) = redis {
            command.env("DDRS_REDIS", redis.url());
        }
        let log = dir.path("run.log");
        let mut run = Self {
            child: spawn_logged(&mut command, &log),
            log,
        };
        let records = dir.path("out/records.jsonl");
        wait_for("first record", || {
            assert!(run.is_alive(), "run ended: {}", run.log());
            fs::metadata(&records)
                .is_ok_and(|file| file.len() > 0)
                .then_some(())
        });
        run
    }

    /// Returns the log of the run.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the log contains the words.
    pub(super) fn wait_for_log(&mut self, words: &str) {
        wait_for(words, || {
            assert!(self.is_alive(), "run ended: {}", self.log());
            self.log().contains(words).then_some(())
        });
    }

    pub(super) fn is_alive(&mut self) -> bool {
        self.ended().is_none()
    }

    /// Waits until the run has ended with exit code 0.
    pub(super) fn wait_for_success(&mut self) {
        let status = wait_for("end of the run", || self.ended());
        assert!(status.success(), "run ended with {status}: {}", self.log());
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }
}

impl Drop for RunningCoordinator {
    fn drop(&mut self) {
        // Both calls may fail if the process has already ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
