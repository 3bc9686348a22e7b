//! Being told to stop: Ctrl-C, SIGTERM, or SIGUSR1 as batch schedulers send it before the time
//! limit.
//!
//! From [`Stop::listen`] on none of them ends the program any more, so everything after it that
//! takes time is done under [`Stop::unless`], and what computes instead of waiting, in [`apart`].

use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// Signals that come so soon after another are the same request: `timeout`, and what forwards a
/// terminal's Ctrl-C, tell a program once by itself and once with its group.
const ECHO: Duration = Duration::from_millis(300);

/// The requests to stop.
#[derive(Debug)]
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
    user: Signal,
    last: Option<Instant>,
}

impl Stop {
    /// Keeps the signals from ending this program from here on. Inside a runtime only.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user: signal(SignalKind::user_defined1())?,
            last: None,
        })
    }

    /// Ends at the next request. One that came since the last call counts.
    pub async fn asked(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
                _ = self.user.recv() => {}
            }
            if self.last.is_none_or(|last| last.elapsed() > ECHO) {
                self.last = Some(Instant::now());
                return;
            }
        }
    }

    /// Whether a request has come since the last one that was heard of. Something that failed may
    /// have failed of it: a signal to the whole group of processes also ends a child that has not
    /// left the group yet.
    pub async fn is_asked(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.asked() => true,
            // The runtime looks for signals in between.
            () = tokio::task::yield_now() => false,
        }
    }

    /// What `work` comes to; none when a request to stop came first, and `work` was dropped.
    pub async fn unless<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.asked() => None,
            done = work => Some(done),
        }
    }
}

/// Computes on a thread of its own, so that requests to stop are heard meanwhile. What it began
/// ends with the program.
///
/// # Errors
/// What `work` comes to.
pub async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("a thread ended")?
}
