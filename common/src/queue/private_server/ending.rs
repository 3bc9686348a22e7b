//! The end of a private server: asked for over its socket, and where that hears nothing, by
//! signals.

use std::fs::{File, TryLockError};
use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout_at};

use super::{PATIENCE, POLL, PrivateServer, ServerError, socket};

/// How long a server may be silent before it is no longer asked.
const SILENCE: Duration = Duration::from_secs(2);
/// How long it has from SIGTERM to SIGKILL.
const LAST_CHANCE: Duration = Duration::from_millis(500);

impl PrivateServer {
    /// Stops it, keeping its data, and waits until it is gone. One that this process started and
    /// that has not answered for two seconds is ended by signals: what it had written to its file
    /// survives that, as the system has it.
    ///
    /// # Errors
    /// When it ran already and does not answer; it is left alone then, as it may be another
    /// machine's.
    pub async fn stop(self) -> Result<(), ServerError> {
        self.stop_if_silent_for(SILENCE).await
    }

    /// [`Self::stop`] of a server that was found to hang: if this process started it, it is not
    /// asked.
    ///
    /// # Errors
    /// As [`Self::stop`].
    pub async fn stop_silent(self) -> Result<(), ServerError> {
        let silence = if self.is_new() {
            Duration::ZERO
        } else {
            SILENCE
        };
        self.stop_if_silent_for(silence).await
    }

    /// Ends it at once, as a crash of the program would; does nothing to one that ran already.
    ///
    /// # Errors
    /// What the system says.
    pub fn kill(mut self) -> io::Result<()> {
        self.end_child()
    }

    async fn stop_if_silent_for(mut self, silence: Duration) -> Result<(), ServerError> {
        let start = Instant::now();
        let mut heard = start;
        while heard + silence > Instant::now() && start.elapsed() < PATIENCE {
            // Refused while it starts to write its file; asked again until the connection fails
            // because it is gone.
            let answer = timeout_at(heard + silence, socket::ask(&self.socket, "SHUTDOWN")).await;
            if self.is_gone()? {
                socket::remove(&self.dir);
                return Ok(());
            }
            // An empty line is a connection that closed: it may be about to end, and is given no
            // more time for that.
            if matches!(answer, Ok(Ok(line)) if !line.is_empty()) {
                heard = Instant::now();
            }
            sleep(POLL).await;
        }
        self.end_by_signals().await?;
        if self.is_gone()? {
            return Ok(());
        }
        Err(ServerError::Silent {
            dir: self.dir.clone(),
            waited: start.elapsed(),
        })
    }

    /// SIGTERM, then SIGKILL, to a server of this process.
    async fn end_by_signals(&mut self) -> Result<(), ServerError> {
        let at = |cause| ServerError::Io {
            path: self.dir.clone(),
            cause,
        };
        let Some(child) = &mut self.child else {
            return Ok(());
        };
        tracing::warn!(dir = %self.dir.display(), "redis-server does not answer and is ended; what it wrote to its file is kept");
        // Not waited for yet, so the number is still this child's.
        let id = Pid::from_child(child);
        kill_process(id, Signal::TERM).map_err(|error| at(error.into()))?;
        let killed_at = Instant::now() + LAST_CHANCE;
        while Instant::now() < killed_at {
            if child.try_wait().map_err(at)?.is_some() {
                break;
            }
            sleep(POLL).await;
        }
        child.kill().and_then(|()| child.wait()).map_err(at)?;
        socket::remove(&self.dir);
        Ok(())
    }

    /// Whether the server's process has ended: its lock is free, and if it is ours, it has been
    /// waited for.
    fn is_gone(&mut self) -> Result<bool, ServerError> {
        let at = |cause| ServerError::Io {
            path: self.dir.clone(),
            cause,
        };
        if let Some(child) = &mut self.child {
            return child.try_wait().map(|status| status.is_some()).map_err(at);
        }
        let lock = File::options()
            .write(true)
            .open(self.dir.join("redis.lock"))
            .map_err(at)?;
        match lock.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(cause)) => Err(at(cause)),
        }
    }

    fn end_child(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        child.kill()?;
        child.wait()?;
        socket::remove(&self.dir);
        Ok(())
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        // Nobody is left to tell; the next start finds whatever remains.
        self.end_child().ok();
    }
}
