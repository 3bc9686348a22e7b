//! A redis-server process that a case can kill and restart. It has a separate port, and a separate
//! folder for its append-only file.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use super::process::{Signal, signal, spawn, wait_for};

/// The policy for syncing the append-only file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Syncs every second. A loss of power may lose the writes of the last second.
    EverySecond,
    /// Syncs before every answer.
    Always,
}

/// A running redis-server. It is killed on drop.
pub struct RedisServer {
    dir: PathBuf,
    port: u16,
    options: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts a server with its files in `dir` and additional command-line options.
    #[must_use]
    pub fn start(dir: &Path, fsync: Fsync, more: &[&str]) -> Self {
        fs::create_dir_all(dir).expect("a folder");
        let fsync = match fsync {
            Fsync::EverySecond => "everysec",
            Fsync::Always => "always",
        };
        let persistence = ["--appendonly", "yes", "--appendfsync", fsync, "--save", ""];
        let options = persistence
            .iter()
            .chain(&["--maxmemory-policy", "noeviction"])
            .chain(more)
            .map(|&option| option.to_owned())
            .collect();
        let mut server = Self {
            dir: dir.to_owned(),
            port: free_port(),
            options,
            child: None,
        };
        server.launch();
        server
    }

    /// Returns the address of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns the port of the server.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the folder of the server.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Opens a connection without using the code of the queue.
    #[must_use]
    pub fn connection(&self) -> redis::Connection {
        let client = redis::Client::open(self.url()).expect("an address");
        wait_for("connection to redis", || client.get_connection().ok())
    }

    /// Sends a signal to the server.
    pub fn signal(&self, which: Signal) {
        signal(self.child.as_ref().expect("a server that runs"), which);
    }

    /// Kills the server with SIGKILL.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        child.kill().expect("a server that was not yet waited for");
        child.wait().expect("a dead server");
    }

    /// Returns true if the server has ended by itself, as it does under `appendfsync always` when
    /// it cannot write its file.
    pub fn has_ended(&mut self) -> bool {
        self.child
            .as_mut()
            .is_none_or(|child| child.try_wait().expect("a child").is_some())
    }

    /// Starts the server on its port and files. Returns when it has loaded the files.
    pub fn launch(&mut self) {
        let mut command = Command::new("redis-server");
        command.current_dir(&self.dir).args([
            "--bind",
            "127.0.0.1",
            "--port",
            &self.port.to_string(),
        ]);
        command
            .args(["--dir", ".", "--logfile", "redis.log", "--daemonize", "no"])
            .args(&self.options);
        self.child = Some(spawn(&mut command));
        wait_for("answer from a redis-server that starts", || {
            assert!(!self.has_ended(), "redis-server ended: {}", self.log());
            let mut connection = redis::Client::open(self.url())
                .ok()?
                .get_connection()
                .ok()?;
            redis::cmd("PING").query::<String>(&mut connection).ok()
        });
    }

    /// Returns the path of the current append-only file.
    #[must_use]
    pub fn append_only_file(&self) -> PathBuf {
        let files = fs::read_dir(self.dir.join("appendonlydir"))
            .expect("an append-only folder")
            .flatten();
        let mut files: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
        files.retain(|path| path.to_string_lossy().ends_with(".incr.aof"));
        files.sort();
        files.pop().expect("an append-only file")
    }

    /// Returns the log of the server.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("redis.log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
