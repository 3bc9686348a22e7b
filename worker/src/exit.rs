//! The end of a process that uses libtorch.

use std::io::Write;

use ddrs_common::cli::ExitCode;

/// Ends the process at once, without waiting for a forward pass in progress.
///
/// This bypasses the C library's `exit`, which would destroy libtorch's global state while threads
/// still compute with it: the process would crash and its exit code would be lost.
pub fn now(exit: ExitCode) -> ! {
    std::io::stdout().flush().ok();
    signal_hook::low_level::exit(i32::from(exit.code()))
}
