//! The flag that the commands which resume look at: set by the first signal that ends programs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};
use ddrs_common::cli::ExitCode;
use ddrs_worker::exit;
use tokio::runtime::{Builder, Runtime};

use crate::run::stop::stop_requested;

/// The effect of a signal, for the log.
pub(super) struct StopMessages {
    /// Of the first signal.
    pub(super) first: &'static str,
    /// Of the second one, which ends the program at once.
    pub(super) second: &'static str,
}

/// Returns a flag that the first signal that ends programs sets. The second signal ends this
/// program at once, whatever it is doing. Files are written so that they survive this.
///
/// # Errors
/// When the system does not allow it to listen.
pub(super) fn stop_flag(messages: &'static StopMessages) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    listen(Arc::clone(&stop), messages)?;
    Ok(stop)
}

fn listen(stop: Arc<AtomicBool>, messages: &'static StopMessages) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let first = next_signal(&runtime).context("cannot listen for signals")?;
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || {
        let signal = runtime.block_on(first);
        // Listening again comes first, so that no later signal is missed.
        let second = next_signal(&runtime);
        let effect = messages.first;
        tracing::info!("{signal}: {effect}; a second signal stops at once");
        stop.store(true, Ordering::Relaxed);
        if let Ok(second) = second {
            stop_at_once(runtime.block_on(second), messages.second);
        }
    })?;
    Ok(())
}

/// Listens from now on. The future returns the name of the signal.
fn next_signal(runtime: &Runtime) -> std::io::Result<impl Future<Output = &'static str> + use<>> {
    let _inside = runtime.enter();
    stop_requested(false)
}

fn stop_at_once(signal: &str, effect: &str) {
    tracing::warn!("{signal} again: stopping at once; {effect}");
    exit::now(ExitCode::Interrupted);
}
