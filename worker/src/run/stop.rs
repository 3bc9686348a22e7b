//! Being told to stop: by a signal, or by a parent whose end of stdin has closed.

use std::io;

use tokio::io::{AsyncReadExt, stdin};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens from now on; the future ends when this process should. SIGUSR1 is what Slurm sends
/// before a time limit.
///
/// # Errors
/// When the system does not let it listen.
pub(crate) fn told_to_stop(with_stdin: bool) -> io::Result<impl Future<Output = &'static str>> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let mut user: Signal = signal(SignalKind::user_defined1())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = user.recv() => "SIGUSR1",
            () = closed(), if with_stdin => "the coordinator is gone",
        }
    })
}

/// Ends when stdin does.
pub(super) async fn closed() {
    let (mut stdin, mut ignored) = (stdin(), [0; 64]);
    while stdin.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}
