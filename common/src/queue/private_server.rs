//! A private `redis-server`: on a socket in a folder, with an append-only file in the same folder.
//!
//! The server holds a lock on `redis.lock` for as long as it lives: the file is its stdin, and the
//! kernel frees the lock however the server ends. So two servers never share one append-only file,
//! a socket that is left over does no harm, and a server that outlived its coordinator is found and
//! used again.
//!
//! The server is in a separate process group. A Ctrl-C at the terminal does not reach it before the
//! coordinator has collected, and a killed coordinator leaves it running until the next start on
//! the same folder.

mod ending;
mod socket;

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Longest time for a server to load its file, or to end while it answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two checks of a server that starts or ends.
const POLL: Duration = Duration::from_millis(5);

/// A private server that cannot be started, found or stopped.
#[derive(Debug, thiserror::Error)]
pub enum PrivateServerError {
    /// The program is missing.
    #[error(
        "there is no program {program}; install it (Debian: apt install redis-server), name \
         another one with DDRS_REDIS_SERVER, or use a Redis that runs already with --redis"
    )]
    NotInstalled {
        /// The program that should have been started.
        program: String,
    },
    /// A file or a process that the system refused.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The server ended by itself.
    #[error("redis-server ended while it started ({status}): {log}")]
    Ended {
        /// Its exit status.
        status: std::process::ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// The server holds the lock, but does not answer here.
    #[error(
        "a redis-server uses {}, but does not answer after {}s; it hangs, or runs on another \
         machine",
        dir.display(),
        waited.as_secs()
    )]
    Silent {
        /// Its folder.
        dir: PathBuf,
        /// The time waited for an answer.
        waited: Duration,
    },
}

impl PrivateServerError {
    fn io(path: &Path, cause: impl Into<io::Error>) -> Self {
        Self::Io {
            path: path.to_owned(),
            cause: cause.into(),
        }
    }

    fn silent(dir: &Path, waited: Duration) -> Self {
        Self::Silent {
            dir: dir.to_owned(),
            waited,
        }
    }
}

/// A running private server. A server that this process started is killed when this is dropped;
/// acknowledged writes survive that.
#[derive(Debug)]
pub struct PrivateServer {
    dir: PathBuf,
    socket: PathBuf,
    /// `None` for a server that ran already.
    child: Option<Child>,
}

impl PrivateServer {
    /// Starts a server on `dir`, which is created if it does not exist, or finds the one that runs
    /// there. Returns when the server has loaded its data.
    ///
    /// # Errors
    /// When there is no `redis-server`, it ends at once, or it does not answer within a minute.
    pub async fn start(dir: &Path) -> Result<Self, PrivateServerError> {
        fs::create_dir_all(dir).map_err(|cause| PrivateServerError::io(dir, cause))?;
        let dir = canonical(dir)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(lock) = take_lock(&dir)? {
                return Self::spawn(dir, lock, deadline).await;
            }
            // Another process's server: it starts, runs, or is about to end.
            let server = Self::existing(dir.clone());
            if socket::is_ready(&server.socket).await {
                tracing::info!(dir = %dir.display(), "using the redis-server that runs there");
                return Ok(server);
            }
            sleep(POLL).await;
        }
        Err(PrivateServerError::silent(&dir, PATIENCE))
    }

    /// Returns the server that runs on `dir`, if one does: the process that started it may have
    /// been killed before it could stop it.
    ///
    /// # Errors
    /// The system's.
    pub fn find(dir: &Path) -> Result<Option<Self>, PrivateServerError> {
        match File::options().write(true).open(lock_path(dir)) {
            Ok(lock) if is_free(&lock, dir)? => Ok(None),
            Ok(_) => canonical(dir).map(Self::existing).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PrivateServerError::io(dir, error)),
        }
    }

    fn existing(dir: PathBuf) -> Self {
        Self {
            socket: socket::existing(&dir),
            dir,
            child: None,
        }
    }

    /// Returns true if this process started the server; otherwise it ran already, and others may be
    /// using it.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.child.is_some()
    }

    /// Returns the address.
    #[must_use]
    pub fn url(&self) -> String {
        socket::url(&self.socket)
    }

    async fn spawn(
        dir: PathBuf,
        lock: File,
        deadline: Instant,
    ) -> Result<Self, PrivateServerError> {
        let socket = socket::prepare(&dir).map_err(|cause| PrivateServerError::io(&dir, cause))?;
        let child = launch(&dir, &socket, lock)?;
        let mut server = Self {
            dir,
            socket,
            child: Some(child),
        };
        server.wait_until_ready(deadline).await?;
        Ok(server)
    }

    async fn wait_until_ready(&mut self, deadline: Instant) -> Result<(), PrivateServerError> {
        while Instant::now() < deadline {
            if socket::is_ready(&self.socket).await {
                return Ok(());
            }
            self.check_running()?;
            sleep(POLL).await;
        }
        Err(PrivateServerError::silent(&self.dir, PATIENCE))
    }

    /// Checks that a server that this process started has not ended.
    fn check_running(&mut self) -> Result<(), PrivateServerError> {
        let ended = self.child.as_mut().map_or(Ok(None), Child::try_wait);
        match ended.map_err(|cause| PrivateServerError::io(&self.dir, cause))? {
            None => Ok(()),
            Some(status) => Err(PrivateServerError::Ended {
                status,
                log: last_lines(&self.dir.join("redis.log")),
            }),
        }
    }
}

fn canonical(dir: &Path) -> Result<PathBuf, PrivateServerError> {
    dir.canonicalize()
        .map_err(|cause| PrivateServerError::io(dir, cause))
}

fn lock_path(dir: &Path) -> PathBuf {
    dir.join("redis.lock")
}

/// Returns the locked lock file of a folder; `None` while a server holds the lock.
fn take_lock(dir: &Path) -> Result<Option<File>, PrivateServerError> {
    let path = lock_path(dir);
    let mut options = File::options();
    let opened = options.create(true).truncate(false).write(true).open(&path);
    let lock = opened.map_err(|cause| PrivateServerError::io(&path, cause))?;
    let is_free = is_free(&lock, &path)?;
    Ok(is_free.then_some(lock))
}

/// Locks a file. Returns false if another process holds the lock.
fn is_free(lock: &File, path: &Path) -> Result<bool, PrivateServerError> {
    match lock.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(cause)) => Err(PrivateServerError::io(path, cause)),
    }
}

/// Starts the program. Its copy of `lock` is the only one left when this returns.
fn launch(dir: &Path, socket: &Path, lock: File) -> Result<Child, PrivateServerError> {
    let program = std::env::var("DDRS_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    let mut command = Command::new(&program);
    command
        .current_dir(dir)
        .args(["--port", "0", "--unixsocketperm", "700"])
        .arg("--unixsocket")
        .arg(socket)
        .args(["--dir", ".", "--logfile", "redis.log"])
        .args(["--daemonize", "no"])
        .args(["--appendonly", "yes", "--appendfsync", "everysec"])
        .args(["--save", "", "--maxmemory-policy", "noeviction"])
        .stdin(Stdio::from(lock))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    command.spawn().map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => PrivateServerError::NotInstalled { program },
        _ => PrivateServerError::io(Path::new(&program), cause),
    })
}

/// Returns the end of a log, for an error message.
fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    match lines.as_slice() {
        [] => format!("nothing in {}", log.display()),
        lines => lines[lines.len().saturating_sub(5)..].join(" / "),
    }
}
