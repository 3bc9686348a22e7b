//! The command `train`: trains a network from a training specification.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Runtime};

use crate::cli::TrainArgs;
use crate::run::stop::stop_requested;
use ddrs_common::cli::{BadInput, ExitCode};
use ddrs_worker::exit;
use ddrs_worker::{device, train};

/// Trains, and stops between two steps at a signal.
///
/// # Errors
/// Those of [`train::train`], and [`BadInput`] when the device is not available.
pub(crate) fn train(args: &TrainArgs) -> Result<()> {
    let device = device::pick(&args.device.device).map_err(BadInput)?;
    device::keep_freed_memory();
    if let Some(threads) = args.device.threads {
        set_threads(threads);
    }
    let stop = Arc::new(AtomicBool::new(false));
    listen(Arc::clone(&stop))?;
    let stop = || stop.load(Ordering::Relaxed);
    train::train(&args.spec, &args.out, device, &stop)
}

fn set_threads(threads: usize) {
    tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(i32::MAX));
}

/// Sets `stop` at the first signal that ends programs. The second signal ends this program at once,
/// whatever it is doing. Files are replaced in one step, so the last checkpoint stays.
fn listen(stop: Arc<AtomicBool>) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let first = next_signal(&runtime).context("cannot listen for signals")?;
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || {
        let signal = runtime.block_on(first);
        // Listening again comes first, so that no later signal is missed.
        let second = next_signal(&runtime);
        tracing::info!("{signal}: stopping after this step; a second signal stops at once");
        stop.store(true, Ordering::Relaxed);
        if let Ok(second) = second {
            stop_at_once(runtime.block_on(second));
        }
    })?;
    Ok(())
}

/// Listens from now on. The future returns the name of the signal.
fn next_signal(runtime: &Runtime) -> std::io::Result<impl Future<Output = &'static str> + use<>> {
    let _inside = runtime.enter();
    stop_requested(false)
}

fn stop_at_once(signal: &str) {
    tracing::warn!("{signal} again: stopping at once; steps since the last checkpoint are lost");
    exit::now(ExitCode::Interrupted);
}
