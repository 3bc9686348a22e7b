//! How the worker ends: the exit codes that coordinators and scripts rely on.

use std::io::Write;

use ddrs_common::queue::QueueError;

/// What was asked for cannot be done here: a specification, data, model, root or device that does
/// not fit. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct Refused(pub anyhow::Error);

/// Told to stop; what was begun can be gone on with. Exit code 130.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: {0}")]
pub struct Interrupted(pub &'static str);

/// The exit code of an error.
#[must_use]
pub fn code(error: &anyhow::Error) -> u8 {
    let usage = error
        .downcast_ref::<QueueError>()
        .is_some_and(QueueError::is_usage);
    if usage || error.downcast_ref::<Refused>().is_some() {
        2
    } else if error.downcast_ref::<Interrupted>().is_some() {
        130
    } else {
        1
    }
}

/// Ends the process at once, without waiting for a forward pass in progress. Past the C library's
/// `exit` as well: that takes libtorch apart under the lanes that still compute with it, which ends
/// in a crash instead of an exit code.
pub fn now(code: u8) -> ! {
    std::io::stdout().flush().ok();
    signal_hook::low_level::exit(i32::from(code))
}
