//! The end of a private server: requested over its socket, and by signals if it does not answer.

use std::fs::File;
use std::io;
use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout_at};

use super::{PATIENCE, POLL, PrivateServer, PrivateServerError, is_free, lock_path, socket};

/// Time for which a server may be silent before signals end it.
const SILENCE: Duration = Duration::from_secs(2);
/// Time from SIGTERM to SIGKILL.
const LAST_CHANCE: Duration = Duration::from_millis(500);

impl PrivateServer {
    /// Stops the server, keeps its data, and waits until it is gone. A server that this process
    /// started and that has not answered for two seconds is ended by signals: the system keeps what
    /// it had written to its file.
    ///
    /// # Errors
    /// When the server ran already and does not answer. It is left alone then, since it may be
    /// another machine's.
    pub async fn stop(self) -> Result<(), PrivateServerError> {
        self.stop_if_silent_for(SILENCE).await
    }

    /// Does the same as [`Self::stop`] for a server that was found to hang: if this process started
    /// it, signals end it at once.
    ///
    /// # Errors
    /// As [`Self::stop`].
    pub async fn stop_silent(self) -> Result<(), PrivateServerError> {
        let silence = if self.is_new() {
            Duration::ZERO
        } else {
            SILENCE
        };
        self.stop_if_silent_for(silence).await
    }

    /// Ends the server at once, as a crash of the program would. Does nothing to a server that ran
    /// already.
    ///
    /// # Errors
    /// The system's.
    pub fn kill(mut self) -> io::Result<()> {
        self.end_child()
    }

    async fn stop_if_silent_for(mut self, silence: Duration) -> Result<(), PrivateServerError> {
        let start = Instant::now();
        if self.stop_by_request(start, silence).await? {
            socket::remove(&self.dir);
            return Ok(());
        }
        self.end_by_signals().await?;
        if self.is_gone()? {
            return Ok(());
        }
        Err(PrivateServerError::silent(&self.dir, start.elapsed()))
    }

    /// Requests the end until the server is gone, or has been silent for too long. Returns true if
    /// it is gone.
    async fn stop_by_request(
        &mut self,
        start: Instant,
        silence: Duration,
    ) -> Result<bool, PrivateServerError> {
        let mut heard = start;
        while heard + silence > Instant::now() && start.elapsed() < PATIENCE {
            // A server that starts to write its file refuses. The request is repeated until the
            // connection fails because the server is gone.
            let request = socket::ask(&self.socket, "SHUTDOWN");
            let answer = timeout_at(heard + silence, request).await;
            if self.is_gone()? {
                return Ok(true);
            }
            // An empty line is a connection that closed: the server may be about to end, and gets
            // no more time for that.
            if matches!(answer, Ok(Ok(line)) if !line.is_empty()) {
                heard = Instant::now();
            }
            sleep(POLL).await;
        }
        Ok(false)
    }

    /// Sends SIGTERM, then SIGKILL, to a server of this process.
    async fn end_by_signals(&mut self) -> Result<(), PrivateServerError> {
        let Some(child) = &mut self.child else {
            return Ok(());
        };
        tracing::warn!(
            dir = %self.dir.display(),
            "redis-server does not answer; ending it, what it wrote to its file is kept"
        );
        let ended = end(child).await;
        ended.map_err(|cause| PrivateServerError::io(&self.dir, cause))?;
        socket::remove(&self.dir);
        Ok(())
    }

    /// Returns true if the server's process has ended: its lock is free, or it is a child that was
    /// waited for.
    fn is_gone(&mut self) -> Result<bool, PrivateServerError> {
        let failed = |cause| PrivateServerError::io(&self.dir, cause);
        if let Some(child) = &mut self.child {
            let status = child.try_wait().map_err(failed)?;
            return Ok(status.is_some());
        }
        let lock = File::options().write(true).open(lock_path(&self.dir));
        is_free(&lock.map_err(failed)?, &self.dir)
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

async fn end(child: &mut Child) -> io::Result<()> {
    // Not waited for yet, so the number is still this child's.
    kill_process(Pid::from_child(child), Signal::TERM)?;
    let killed_at = Instant::now() + LAST_CHANCE;
    while Instant::now() < killed_at && child.try_wait()?.is_none() {
        sleep(POLL).await;
    }
    child.kill()?;
    child.wait().map(drop)
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        // An error cannot be returned here; the next start finds a server that is left.
        self.end_child().ok();
    }
}
