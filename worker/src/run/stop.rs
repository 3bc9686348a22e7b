//! Requests to stop: by a signal, or by a parent process that closed stdin.

use ddrs_common::cli::StopSignals;
use tokio::io;

/// Listens from now on. The future ends with the reason when this process should stop.
///
/// # Errors
/// When the system does not allow it to listen.
pub(crate) fn stop_requested(with_stdin: bool) -> io::Result<impl Future<Output = &'static str>> {
    let mut signals = StopSignals::listen()?;
    Ok(async move {
        tokio::select! {
            signal = signals.next() => signal.name(),
            () = stdin_closed(), if with_stdin => "the parent process is gone",
        }
    })
}

/// Waits until stdin closes.
pub(super) async fn stdin_closed() {
    io::copy(&mut io::stdin(), &mut io::sink()).await.ok();
}
