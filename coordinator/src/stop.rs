//! Requests to stop, by Ctrl-C, SIGTERM or SIGUSR1.
//!
//! After [`StopRequests::listen`], none of these signals ends the program. Everything that takes
//! time therefore runs under [`StopRequests::unless`], and computations in [`spawn_blocking`].

use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use ddrs_common::cli::StopSignals;
use tokio::time::Instant;

/// Signals within this time of another one are the same request. `timeout`, and programs that
/// forward a terminal's Ctrl-C, signal a program once directly and once with its process group.
const SAME_REQUEST: Duration = Duration::from_millis(300);

/// The requests to stop.
#[derive(Debug)]
pub(crate) struct StopRequests {
    signals: StopSignals,
    last: Option<Instant>,
}

impl StopRequests {
    /// Starts to listen. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            signals: StopSignals::listen()?,
            last: None,
        })
    }

    /// Waits for the next request. A request since the last call counts.
    pub(crate) async fn next(&mut self) {
        loop {
            self.signals.next().await;
            if self.last.is_none_or(|last| last.elapsed() > SAME_REQUEST) {
                self.last = Some(Instant::now());
                return;
            }
        }
    }

    /// Returns true if a request arrived since the last one that was handled. It may be the cause
    /// of a failure: a signal to the process group also ends child processes that are still in
    /// the group.
    pub(crate) async fn is_pending(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.next() => true,
            // The runtime checks for signals in between.
            () = tokio::task::yield_now() => false,
        }
    }

    /// Returns the result of `work`. If a request to stop arrives first, drops `work` and returns
    /// `None`.
    pub(crate) async fn unless<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.next() => None,
            done = work => Some(done),
        }
    }
}

/// Runs a computation on a separate thread, so that requests to stop are handled meanwhile. An
/// unfinished computation ends with the program.
///
/// # Errors
/// The error of `work`, or that it panicked.
pub(crate) async fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("a background task panicked or was cancelled")?
}
