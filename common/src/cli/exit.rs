//! Exit codes, and the errors that select one.

use std::process::{self, ExitStatus};

use crate::queue::QueueError;

/// The exit codes that scripts rely on, the same in both programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Everything that was asked for is done.
    Complete = 0,
    /// The command failed.
    Failed = 1,
    /// The usage, the specification, the data, a model or the device cannot be used.
    BadInput = 2,
    /// The sweep has ended, with dead jobs or failed samples.
    Incomplete = 3,
    /// The command was asked to stop. Its results are kept, and the same command resumes.
    Interrupted = 130,
}

impl ExitCode {
    /// Returns the exit code of an error. A bad address of Redis is bad input wherever it is found.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<BadInput>() || is_bad_address(error) {
            Self::BadInput
        } else if error.is::<Interrupted>() {
            Self::Interrupted
        } else {
            Self::Failed
        }
    }

    /// Returns true if a process exited with this code.
    #[must_use]
    pub fn is_code_of(self, status: ExitStatus) -> bool {
        status.code() == Some(self.code().into())
    }

    /// Returns the number that the process exits with.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

fn is_bad_address(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<QueueError>();
    error.is_some_and(QueueError::is_usage)
}

impl From<ExitCode> for process::ExitCode {
    fn from(exit: ExitCode) -> Self {
        Self::from(exit.code())
    }
}

/// An error caused by the user's input, with [`ExitCode::BadInput`].
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct BadInput(pub anyhow::Error);

impl BadInput {
    /// Creates an error with this message.
    pub fn new(message: impl std::fmt::Display) -> Self {
        Self(anyhow::anyhow!("{message}"))
    }
}

/// Marks an error as caused by the user's input.
pub trait BlameInput<T> {
    /// Turns the error into a [`BadInput`].
    fn blame_input(self) -> Result<T, BadInput>;
}

impl<T, E: Into<anyhow::Error>> BlameInput<T> for Result<T, E> {
    fn blame_input(self) -> Result<T, BadInput> {
        self.map_err(|error| BadInput(error.into()))
    }
}

/// The error of a command that was asked to stop and can be resumed, with
/// [`ExitCode::Interrupted`].
#[derive(Debug, thiserror::Error)]
#[error("interrupted: {0}")]
pub struct Interrupted(pub &'static str);

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn an_error_selects_its_exit_code_also_under_context() {
        let codes = [
            (anyhow!("disk full"), 1),
            (BadInput::new("no such file").into(), 2),
            (QueueError::PasswordShown.into(), 2),
            (Interrupted("run it again").into(), 130),
        ];
        for (error, code) in codes {
            let error = error.context("while reading");
            assert_eq!(ExitCode::of(&error).code(), code, "{error:#}");
        }
    }
}
