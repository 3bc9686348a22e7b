//! A `redis-server` of one's own: on a socket in a folder, with an append-only file beside it.
//!
//! The server holds a lock on `redis.lock` for as long as it lives: the file is its stdin, and the
//! kernel frees the lock when it ends, however that comes about. So there are never two servers on
//! one append-only file, a stale socket fools nobody, and a server that outlived its coordinator is
//! found and used again.
//!
//! It is a process group of its own: a Ctrl-C at the terminal does not reach it before the
//! coordinator has collected, and killing the coordinator's group leaves it running until the next
//! start on the same folder.

mod ending;
mod socket;

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a server may take to load its file, or to end while it answers.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

/// A server that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The program is missing.
    #[error(
        "there is no program {program}; install it (Debian: apt install redis-server), name another one with \
         DDRS_REDIS_SERVER, or use a Redis that runs already with --redis"
    )]
    NotInstalled {
        /// What was to be started.
        program: String,
    },
    /// A file or a process that the system would not give.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It ended by itself.
    #[error("redis-server ended while it started ({status}): {log}")]
    Ended {
        /// Its exit status.
        status: std::process::ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// It holds the lock, but does not answer here.
    #[error("a redis-server uses {}, but does not answer after {}s; it hangs, or runs on another machine", dir.display(), waited.as_secs())]
    Silent {
        /// Its folder.
        dir: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
}

/// A running server. One that this process started is killed when this is dropped; acknowledged
/// writes survive that.
#[derive(Debug)]
pub struct PrivateServer {
    dir: PathBuf,
    socket: PathBuf,
    /// None: it was running already.
    child: Option<Child>,
}

impl PrivateServer {
    /// Starts a server on `dir`, which is created if need be, or finds the one that runs there.
    /// Returns when it has loaded its data.
    ///
    /// # Errors
    /// When there is no `redis-server`, it ends at once, or it does not answer within a minute.
    pub async fn start(dir: &Path) -> Result<Self, ServerError> {
        let at = |cause| ServerError::Io {
            path: dir.to_owned(),
            cause,
        };
        fs::create_dir_all(dir).map_err(at)?;
        let dir = dir.canonicalize().map_err(at)?;
        let lock_path = dir.join("redis.lock");
        let at_lock = |cause| ServerError::Io {
            path: lock_path.clone(),
            cause,
        };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let lock = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&lock_path)
                .map_err(at_lock)?;
            match lock.try_lock() {
                Ok(()) => return Self::spawn(dir, lock, deadline).await,
                Err(TryLockError::Error(cause)) => return Err(at_lock(cause)),
                // Someone else's server: starting, running, or about to end.
                Err(TryLockError::WouldBlock) => {
                    let socket = socket::existing(&dir);
                    if socket::is_ready(&socket).await {
                        tracing::info!(dir = %dir.display(), "using the redis-server that runs there");
                        return Ok(Self {
                            dir,
                            socket,
                            child: None,
                        });
                    }
                }
            }
            sleep(POLL).await;
        }
        Err(ServerError::Silent {
            dir,
            waited: PATIENCE,
        })
    }

    /// The server that runs on `dir`, if one does: whoever started it may have been killed before
    /// it could stop it.
    ///
    /// # Errors
    /// What the system says.
    pub fn find(dir: &Path) -> Result<Option<Self>, ServerError> {
        let at = |cause| ServerError::Io {
            path: dir.to_owned(),
            cause,
        };
        let lock = match File::options().write(true).open(dir.join("redis.lock")) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(error)),
        };
        match lock.try_lock() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => {
                let dir = dir.canonicalize().map_err(at)?;
                let socket = socket::existing(&dir);
                Ok(Some(Self {
                    dir,
                    socket,
                    child: None,
                }))
            }
            Err(TryLockError::Error(cause)) => Err(at(cause)),
        }
    }

    /// Whether this process started it; otherwise it ran already, and others may be using it.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.child.is_some()
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        socket::url(&self.socket)
    }

    async fn spawn(dir: PathBuf, lock: File, deadline: Instant) -> Result<Self, ServerError> {
        let socket = socket::prepare(&dir).map_err(|cause| ServerError::Io {
            path: dir.clone(),
            cause,
        })?;
        let child = launch(&dir, &socket, lock)?;
        let mut server = Self {
            dir,
            socket,
            child: Some(child),
        };
        server.wait_until_ready(deadline).await?;
        Ok(server)
    }

    async fn wait_until_ready(&mut self, deadline: Instant) -> Result<(), ServerError> {
        while Instant::now() < deadline {
            if socket::is_ready(&self.socket).await {
                return Ok(());
            }
            let ended = self.child.as_mut().map_or(Ok(None), Child::try_wait);
            if let Some(status) = ended.map_err(|cause| ServerError::Io {
                path: self.dir.clone(),
                cause,
            })? {
                return Err(ServerError::Ended {
                    status,
                    log: last_lines(&self.dir.join("redis.log")),
                });
            }
            sleep(POLL).await;
        }
        Err(ServerError::Silent {
            dir: self.dir.clone(),
            waited: PATIENCE,
        })
    }
}

/// Starts the program. Its copy of `lock` is the only one left when this returns.
fn launch(dir: &Path, socket: &Path, lock: File) -> Result<Child, ServerError> {
    let program = std::env::var("DDRS_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    let mut command = Command::new(&program);
    command
        .current_dir(dir)
        .args(["--port", "0", "--unixsocketperm", "700"])
        .arg("--unixsocket")
        .arg(socket);
    command.args(["--dir", ".", "--logfile", "redis.log", "--daemonize", "no"]);
    command.args([
        "--appendonly",
        "yes",
        "--appendfsync",
        "everysec",
        "--save",
        "",
    ]);
    command.args(["--maxmemory-policy", "noeviction"]);
    command
        .stdin(Stdio::from(lock))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    command.spawn().map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => ServerError::NotInstalled { program },
        _ => ServerError::Io {
            path: PathBuf::from(program),
            cause,
        },
    })
}

/// The end of a log, for an error message.
fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    match lines.as_slice() {
        [] => format!("nothing in {}", log.display()),
        lines => lines[lines.len().saturating_sub(5)..].join(" / "),
    }
}
