//! How a command ends: the exit codes that scripts rely on.

use std::process::ExitCode;

use ddrs_common::queue::QueueError;

/// What a command came to, when nothing went wrong with the command itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All that was asked for is there.
    Complete,
    /// The sweep has ended, with dead jobs or failed samples.
    Incomplete,
    /// Told to stop; what is done is kept and the same command goes on.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Complete => Self::from(0),
            Exit::Incomplete => Self::from(3),
            Exit::Interrupted => Self::from(130),
        }
    }
}

/// An error that the user's input caused: exit code 2 instead of 1.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct BadInput(pub anyhow::Error);

impl BadInput {
    /// Bad input with a message of its own.
    pub fn new(message: impl std::fmt::Display) -> Self {
        Self(anyhow::anyhow!("{message}"))
    }
}

/// Marks an error as caused by the user's input.
pub trait BlameInput<T> {
    /// The same result, its error marked.
    fn blame_input(self) -> Result<T, BadInput>;
}

impl<T, E: Into<anyhow::Error>> BlameInput<T> for Result<T, E> {
    fn blame_input(self) -> Result<T, BadInput> {
        self.map_err(|error| BadInput(error.into()))
    }
}

/// The exit code of an error. An address that makes no sense is bad usage wherever it is noticed.
#[must_use]
pub fn code(error: &anyhow::Error) -> ExitCode {
    let of_input = error.downcast_ref::<BadInput>().is_some()
        || error
            .downcast_ref::<QueueError>()
            .is_some_and(QueueError::is_usage);
    ExitCode::from(if of_input { 2 } else { 1 })
}
