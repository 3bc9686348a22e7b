//! Being told to stop: by a signal, or by a parent whose end of stdin has closed.

use tokio::io::{AsyncReadExt, stdin};
use tokio::signal::unix::{SignalKind, signal};

/// Ends when this process should. SIGUSR1 is what Slurm sends before a time limit.
pub(super) async fn told_to_stop(with_stdin: bool) -> &'static str {
    tokio::select! {
        () = signalled(SignalKind::terminate()) => "SIGTERM",
        () = signalled(SignalKind::interrupt()) => "SIGINT",
        () = signalled(SignalKind::user_defined1()) => "SIGUSR1",
        () = closed(), if with_stdin => "the coordinator is gone",
    }
}

async fn signalled(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signals) => _ = signals.recv().await,
        Err(_) => std::future::pending().await,
    }
}

async fn closed() {
    let mut ignored = [0; 64];
    while stdin().read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}
