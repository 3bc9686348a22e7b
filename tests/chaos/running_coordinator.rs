//! A `run` in progress.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};

use super::process::spawn_logged;
use super::{RedisServer, wait_for};
use crate::TestDir;

/// `run sweep.toml --out out` with two workers. Killed when this is dropped.
pub(super) struct RunningCoordinator {
    child: Child,
    log: PathBuf,
}

impl RunningCoordinator {
    /// Starts it on a server, or on one of its own, and returns when it has its first record.
    pub(super) fn start(dir: &TestDir, redis: Option<&RedisServer>) -> Self {
        let mut command = dir.coordinator();
        command.args([
            "run",
            "sweep.toml",
            "--out",
            "out",
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

    /// What it logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it says so.
    pub(super) fn says(&mut self, words: &str) {
        wait_for(words, || {
            assert!(self.is_alive(), "run ended: {}", self.log());
            self.log().contains(words).then_some(())
        });
    }

    pub(super) fn is_alive(&mut self) -> bool {
        self.ended().is_none()
    }

    /// Waits until it has ended well.
    pub(super) fn succeeds(&mut self) {
        let status = wait_for("end of the run", || self.ended());
        assert!(status.success(), "run ended with {status}: {}", self.log());
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }
}

impl Drop for RunningCoordinator {
    fn drop(&mut self) {
        // Either may fail on one that has ended, which is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
