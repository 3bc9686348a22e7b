//! How the worker ends when it cannot work: the exit codes that coordinators and scripts rely on.

use std::process::ExitCode;

/// What was asked for cannot be done here: a specification, data, model, root or device that does not fit. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct Refused(pub anyhow::Error);

/// The exit code of an error.
#[must_use]
pub fn code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.downcast_ref::<Refused>().is_some() { 2 } else { 1 })
}
