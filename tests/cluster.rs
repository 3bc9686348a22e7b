//! A private Redis with a submitted sweep, and helpers that run commands on it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use ddrs_common::queue::PrivateServer;
use serde_json::Value;

use crate::{HalfSpaceSweep, ProgramOutput, TestDir, run_to_end};

/// The longest time to wait for a condition.
const WAIT_LIMIT: Duration = Duration::from_secs(120);

/// A folder, a private Redis and a submitted sweep.
pub struct Cluster {
    /// Contains `sweep.toml`, the data, the model and `redis`.
    pub dir: TestDir,
    /// The Redis server of the sweep.
    pub server: PrivateServer,
    /// The id of the sweep.
    pub sweep: String,
    runtime: tokio::runtime::Runtime,
}

impl Cluster {
    /// Submits a half-space sweep.
    ///
    /// # Panics
    /// Panics if redis-server does not start or `submit` fails.
    #[must_use]
    pub fn new(spec: &HalfSpaceSweep) -> Self {
        let dir = TestDir::new();
        let _ = dir.half_space(spec);
        Self::of(dir)
    }

    /// Submits the `sweep.toml` of a folder.
    ///
    /// # Panics
    /// Panics if redis-server does not start or `submit` fails.
    #[must_use]
    pub fn of(dir: TestDir) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let server = runtime
            .block_on(PrivateServer::start(&dir.path("redis")))
            .expect("a redis-server");
        let submitted =
            run_to_end(
                dir.coordinator()
                    .args(["submit", "sweep.toml", "--redis", &server.url()]),
            )
            .expect(0);
        Self {
            dir,
            server,
            runtime,
            sweep: submitted.stdout.trim().to_owned(),
        }
    }

    /// Returns a command of the coordinator that is ready to start.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.dir.coordinator();
        command.args(arguments).env("DDRS_REDIS", self.server.url());
        command
    }

    /// Runs a command of the coordinator to its end.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> ProgramOutput {
        run_to_end(&mut self.command(arguments))
    }

    /// Runs a command of the coordinator with `--format json` and returns its output.
    ///
    /// # Panics
    /// Panics if the command fails or does not print JSON.
    #[must_use]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let ended = self
            .ask(&[arguments, &["--format", "json"]].concat())
            .expect(0);
        serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
    }

    /// Returns the output of `status` for the sweep.
    #[must_use]
    pub fn status(&self) -> Value {
        self.json(&["status", &self.sweep])
    }

    /// Calls `look` with the status of the sweep until it returns a value.
    ///
    /// # Panics
    /// Panics if `look` returns no value within two minutes.
    pub fn eventually<T>(&self, mut look: impl FnMut(&Value) -> Option<T>) -> T {
        let deadline = Instant::now() + WAIT_LIMIT;
        loop {
            let status = self.status();
            if let Some(found) = look(&status) {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "the condition did not hold within {WAIT_LIMIT:?}: {status}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Returns a command of the worker that is ready to start.
    #[must_use]
    pub fn worker_command(&self, more: &[&str]) -> Command {
        let mut command = self.dir.worker();
        command
            .args(["run", "--device", "cpu", "--threads", "1"])
            .args(more)
            .env("DDRS_REDIS", self.server.url());
        command
    }

    /// Starts a worker.
    ///
    /// # Panics
    /// Panics if the worker does not start.
    #[must_use]
    pub fn worker(&self, more: &[&str]) -> Child {
        self.worker_command(more)
            .spawn()
            .expect("a worker that starts")
    }

    /// Runs a worker until no job is left.
    ///
    /// # Panics
    /// Panics if the worker fails.
    pub fn work(&self) {
        let _ = run_to_end(&mut self.worker_command(&["--exit-when-idle"])).expect(0);
    }

    /// Returns the path of the server's socket.
    ///
    /// # Panics
    /// Panics if the address of the server is not a socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.server
            .url()
            .strip_prefix("unix://")
            .expect("a socket")
            .into()
    }

    /// Sends a command to Redis directly. Returns the text of the answer, or the first line of an
    /// answer that is not a text.
    ///
    /// # Panics
    /// Panics if the server does not answer.
    #[must_use]
    pub fn redis(&self, words: &[&str]) -> String {
        let mut stream = UnixStream::connect(self.socket()).expect("a server that listens");
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        stream
            .write_all(request.as_bytes())
            .expect("a server that reads");
        let mut lines = BufReader::new(stream)
            .lines()
            .map(|line| line.expect("a server that answers"));
        let first = lines.next().unwrap_or_default();
        if first.starts_with('$') {
            lines.next().unwrap_or_default()
        } else {
            first
        }
    }

    /// Returns the full name of a key of the sweep.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("ddrs:{{{}}}:{name}", self.sweep)
    }

    /// Stops the server.
    ///
    /// # Panics
    /// Panics if the server does not stop.
    pub fn shut_down(self) {
        self.runtime
            .block_on(self.server.stop())
            .expect("a server that stops");
    }
}

/// Sends a signal to a process.
///
/// # Panics
/// Panics if the process does not exist.
pub fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(
        sent.is_ok_and(|status| status.success()),
        "cannot send SIG{name} to process {pid}"
    );
}

/// Waits for the end of a process. Returns its exit code, or -1 if a signal ended it, and the time
/// waited.
///
/// # Panics
/// Panics if the process does not end within two minutes.
pub fn ended(child: &mut Child) -> (i32, Duration) {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child of this process") {
            return (status.code().unwrap_or(-1), start.elapsed());
        }
        assert!(
            start.elapsed() < WAIT_LIMIT,
            "the process did not end within {WAIT_LIMIT:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
