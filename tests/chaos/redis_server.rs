//! A redis-server that can be killed, starved and brought back: a process on a port of its own,
//! with its append-only file in a folder of its own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use super::process::{Signal, signal, spawn, wait_for};

/// When the append-only file is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Once a second: a loss of power may cost the last second.
    EverySecond,
    /// Before every answer.
    Always,
}

/// The server. Killed when this is dropped.
pub struct RedisServer {
    dir: PathBuf,
    port: u16,
    options: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts a server with its files in `dir`, and more options as on redis-server's command line.
    #[must_use]
    pub fn start(dir: &Path, fsync: Fsync, more: &[&str]) -> Self {
        fs::create_dir_all(dir).expect("a folder");
        let fsync = match fsync {
            Fsync::EverySecond => "everysec",
            Fsync::Always => "always",
        };
        let options = [
            "--appendonly",
            "yes",
            "--appendfsync",
            fsync,
            "--save",
            "",
            "--maxmemory-policy",
            "noeviction",
        ];
        let options = options
            .iter()
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

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A connection past the queue's own code.
    #[must_use]
    pub fn connection(&self) -> redis::Connection {
        let client = redis::Client::open(self.url()).expect("an address");
        wait_for("connection to redis", || client.get_connection().ok())
    }

    /// Sends it a signal.
    pub fn signal(&self, which: Signal) {
        signal(self.child.as_ref().expect("a server that runs"), which);
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        child.kill().expect("a server that was not waited for");
        child.wait().expect("a dead server");
    }

    /// Whether it has ended by itself, as it does when it cannot write its file and must.
    pub fn has_ended(&mut self) -> bool {
        self.child
            .as_mut()
            .is_none_or(|child| child.try_wait().expect("a child").is_some())
    }

    /// Starts it again after its end, on the same port and files; returns when it has loaded them.
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

    /// The file that the server appends commands to.
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

    /// What it logged.
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
