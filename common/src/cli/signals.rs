//! The signals that ask a program to stop: Ctrl-C, SIGTERM, or SIGUSR1, which batch schedulers send
//! before a time limit.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that asks a program to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM
    Terminate,
    /// SIGINT, which Ctrl-C sends
    Interrupt,
    /// SIGUSR1, which Slurm sends before a time limit
    User1,
}

impl StopSignal {
    /// Returns the name, such as `SIGTERM`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::User1 => "SIGUSR1",
        }
    }
}

/// The stop signals that this process receives.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    user1: Signal,
}

impl StopSignals {
    /// Starts to listen: from now on none of the signals ends this process. Must be called in a
    /// tokio runtime.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next signal. A signal that arrived since the last call counts.
    pub async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.user1.recv() => StopSignal::User1,
        }
    }
}
