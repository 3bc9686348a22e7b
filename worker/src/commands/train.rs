//! The command `train`: trains a network from a training specification.

use std::sync::atomic::Ordering;

use anyhow::Result;
use ddrs_common::cli::BadInput;
use ddrs_worker::{device, train};

use super::stop_flag::{StopMessages, stop_flag};
use crate::cli::TrainArgs;

const MESSAGES: StopMessages = StopMessages {
    first: "stopping after this step",
    second: "steps since the last checkpoint are lost",
};

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
    let stop = stop_flag(&MESSAGES)?;
    let stop = || stop.load(Ordering::Relaxed);
    train::train(&args.spec, &args.out, device, &stop)
}

fn set_threads(threads: usize) {
    tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(i32::MAX));
}
