//! `train`: a network from a training specification.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::cli::TrainArgs;
use crate::run::stop::stop_requested;
use ddrs_common::cli::{BadInput, ExitCode};
use ddrs_worker::exit;
use ddrs_worker::{device, train};

/// Trains, and stops between two steps when told to.
///
/// # Errors
/// Those of [`train::train`]; [`BadInput`] when the device cannot be had.
pub(crate) fn train(args: &TrainArgs) -> Result<()> {
    let device = device::pick(&args.device.device).map_err(BadInput)?;
    device::keep_freed_memory();
    if let Some(threads) = args.device.threads {
        tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(i32::MAX));
    }
    let stop = Arc::new(AtomicBool::new(false));
    listen(Arc::clone(&stop))?;
    train::train(&args.spec, &args.out, device, &|| {
        stop.load(Ordering::Relaxed)
    })
}

/// Sets `stop` at the first signal that ends programs; the second ends this one, whatever it is
/// doing: files are replaced in one step, so the last checkpoint stands.
fn listen(stop: Arc<AtomicBool>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let told = {
        let _inside = runtime.enter();
        stop_requested(false).context("cannot listen for signals")?
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let signal = runtime.block_on(told);
            // First of all, so that no later signal is missed.
            let again = {
                let _inside = runtime.enter();
                stop_requested(false)
            };
            tracing::info!("{signal}: stopping after this step; once more to end at once");
            stop.store(true, Ordering::Relaxed);
            if let Ok(again) = again {
                let signal = runtime.block_on(again);
                tracing::warn!(
                    "{signal} again: ending at once, without the steps since the last checkpoint"
                );
                exit::now(ExitCode::Interrupted);
            }
        })?;
    Ok(())
}
