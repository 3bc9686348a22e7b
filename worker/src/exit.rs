//! How the worker ends: the exit codes that coordinators and scripts rely on.

use std::io::Write;

use ddrs_common::queue::QueueError;

/// What was asked for cannot be done here: a specification, data, model, root or device that does not fit. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct Refused(pub anyhow::Error);

/// The exit code of an error. An address that makes no sense is bad usage wherever it is noticed.
#[must_use]
pub fn code(error: &anyhow::Error) -> u8 {
    let address = matches!(error.downcast_ref(), Some(QueueError::Address { .. }));
    if address || error.downcast_ref::<Refused>().is_some() { 2 } else { 1 }
}

/// Ends the process at once, without waiting for a forward pass in progress. Past the C library's `exit` as well: that
/// takes libtorch apart under the lanes that still compute with it, which ends in a crash instead of an exit code.
pub fn now(code: u8) -> ! {
    std::io::stdout().flush().ok();
    signal_hook::low_level::exit(i32::from(code))
}
