//! A Redis of a test's own, with a submitted sweep and the commands of a cluster.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use ddrs_common::queue::PrivateServer;
use serde_json::Value;

use crate::{HalfSpaceSweep, ProgramOutput, TestDir, run_to_end};

/// How long a condition is waited for. Nothing is as slow as that.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder, a Redis of its own and a submitted sweep.
pub struct Cluster {
    /// The folder: `sweep.toml`, data, model, `redis`.
    pub dir: TestDir,
    /// The server.
    pub server: PrivateServer,
    /// The sweep's id.
    pub sweep: String,
    runtime: tokio::runtime::Runtime,
}

impl Cluster {
    /// Submits a half-space sweep.
    ///
    /// # Panics
    /// When there is no Redis, or the sweep is refused.
    #[must_use]
    pub fn new(spec: &HalfSpaceSweep) -> Self {
        let dir = TestDir::new();
        let _ = dir.half_space(spec);
        Self::of(dir)
    }

    /// Submits the `sweep.toml` of a folder.
    ///
    /// # Panics
    /// When there is no Redis, or the sweep is refused.
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

    /// A coordinator's command, ready to start.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.dir.coordinator();
        command.args(arguments).env("DDRS_REDIS", self.server.url());
        command
    }

    /// A coordinator's command, to its end.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> ProgramOutput {
        run_to_end(&mut self.command(arguments))
    }

    /// A coordinator's command that answers in JSON.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let ended = self
            .ask(&[arguments, &["--format", "json"]].concat())
            .expect(0);
        serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
    }

    /// What `status` says of the sweep.
    #[must_use]
    pub fn status(&self) -> Value {
        self.json(&["status", &self.sweep])
    }

    /// Looks at the sweep again and again until `look` finds something.
    ///
    /// # Panics
    /// When it does not.
    pub fn eventually<T>(&self, mut look: impl FnMut(&Value) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if let Some(found) = look(&status) {
                return found;
            }
            assert!(Instant::now() < deadline, "it did not happen: {status}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A worker's command, ready to start.
    #[must_use]
    pub fn worker_command(&self, more: &[&str]) -> Command {
        let mut command = self.dir.worker();
        command
            .args(["run", "--device", "cpu", "--threads", "1"])
            .args(more)
            .env("DDRS_REDIS", self.server.url());
        command
    }

    /// A worker, started.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn worker(&self, more: &[&str]) -> Child {
        self.worker_command(more)
            .spawn()
            .expect("a worker that starts")
    }

    /// Works until nothing is left to do.
    ///
    /// # Panics
    /// When the worker fails.
    pub fn work(&self) {
        let _ = run_to_end(&mut self.worker_command(&["--exit-when-idle"])).expect(0);
    }

    /// The server's socket.
    ///
    /// # Panics
    /// When its address is no socket's.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.server
            .url()
            .strip_prefix("unix://")
            .expect("a socket")
            .into()
    }

    /// A command to Redis, past the programs; returns the answer: a text, or else its first line.
    ///
    /// # Panics
    /// When the server does not answer.
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

    /// A key of the sweep.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("ddrs:{{{}}}:{name}", self.sweep)
    }

    /// Stops the server.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn shut_down(self) {
        self.runtime
            .block_on(self.server.stop())
            .expect("a server that stops");
    }
}

/// Sends a signal to a process.
///
/// # Panics
/// When there is no such process.
pub fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(
        sent.is_ok_and(|status| status.success()),
        "SIG{name} to {pid}"
    );
}

/// Waits for the end of a process; returns its exit code, -1 when a signal ended it, and how long
/// it took.
///
/// # Panics
/// When it does not end.
pub fn ended(child: &mut Child) -> (i32, Duration) {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child of this process") {
            return (status.code().unwrap_or(-1), start.elapsed());
        }
        assert!(start.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}
