//! Starts redis-server with given options, and runs sweeps on it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ddrs_tests::{HalfSpaceSweep, ProgramOutput, TestDir, run_to_end};

/// The longest time to wait for a condition.
const WAIT_LIMIT: Duration = Duration::from_secs(120);

/// A running redis-server on a free port. It is killed on drop.
pub(super) struct TestServer {
    pub(super) port: u16,
    dir: PathBuf,
    child: Child,
}

impl TestServer {
    /// Starts a server that listens without TLS.
    pub(super) fn start(dir: &Path, more: &[&str]) -> Self {
        Self::on("--port", dir, more)
    }

    /// Starts a server that listens with TLS only.
    pub(super) fn start_tls(dir: &Path, more: &[&str]) -> Self {
        Self::on("--tls-port", dir, &[&["--port", "0"], more].concat())
    }

    fn on(listen: &str, dir: &Path, more: &[&str]) -> Self {
        fs::create_dir_all(dir).unwrap();
        let port = free_port();
        let mut command = Command::new("redis-server");
        command
            .current_dir(dir)
            .args(["--bind", "127.0.0.1", "--logfile", "redis.log"])
            .args(["--save", ""])
            .args(["--appendonly", "yes"])
            .args(more)
            .args([listen, &port.to_string()])
            .stdin(Stdio::null());
        let mut server = Self {
            port,
            dir: dir.to_owned(),
            child: command.spawn().unwrap(),
        };
        eventually("a server that is ready", || {
            assert!(
                server.child.try_wait().unwrap().is_none(),
                "redis-server ended: {}",
                server.log()
            );
            server
                .log()
                .contains("Ready to accept connections")
                .then_some(())
        });
        server
    }

    /// Returns the process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Opens a connection without the code of the queue. `login` is `USER:PASSWORD@` or empty.
    pub(super) fn connection(&self, login: &str) -> redis::Connection {
        redis::Client::open(format!("redis://{login}127.0.0.1:{}", self.port))
            .unwrap()
            .get_connection()
            .unwrap()
    }

    /// Kills the server with SIGKILL.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("redis.log")).unwrap_or_default()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Sends a command, given as one line of words.
pub(super) fn ask<T: redis::FromRedisValue>(
    connection: &mut redis::Connection,
    line: &str,
) -> redis::RedisResult<T> {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = command.arg(word));
    command.query(connection)
}

/// Calls `look` repeatedly until it returns a value.
pub(super) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WAIT_LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} within {WAIT_LIMIT:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Returns a folder with a small half-space sweep.
pub(super) fn small() -> TestDir {
    let dir = TestDir::new();
    let _ = dir.half_space(&HalfSpaceSweep::default());
    dir
}

/// Returns a folder with a sweep that takes long enough for a fault to happen during its run.
pub(super) fn long() -> TestDir {
    let dir = TestDir::new();
    let _ = dir.half_space(&HalfSpaceSweep {
        n: 60_000,
        job_samples: 1,
        ..HalfSpaceSweep::default()
    });
    dir
}

/// Returns a `run` command with one worker that is ready to start. The environment names the Redis.
pub(super) fn run(dir: &TestDir, out: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = dir.coordinator();
    command
        .args(["run", "sweep.toml", "--out", out])
        .args(["--workers", "1", "--device", "cpu"]);
    command.envs(environment.iter().copied());
    command
}

/// Runs a command of the coordinator to its end.
pub(super) fn coordinator(
    dir: &TestDir,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> ProgramOutput {
    run_to_end(
        dir.coordinator()
            .args(arguments)
            .envs(environment.iter().copied()),
    )
}

/// Checks that a run has the same records as an undisturbed run on a private Redis.
pub(super) fn assert_undisturbed(dir: &TestDir, out: &str) {
    let _ = dir.run(&dir.path("sweep.toml"), "undisturbed", 1).expect(0);
    let undisturbed = dir.stable_records("undisturbed");
    assert_eq!(undisturbed.len(), 48);
    assert_eq!(dir.stable_records(out), undisturbed);
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
