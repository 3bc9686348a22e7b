//! The engine: images in, certifications out.
//!
//! - [`Engine`]: the device and its lanes
//! - [`Network`]: a loaded model, one copy of its handle a lane
//! - [`Engine::certify`]: a sigma for each input, then CERTIFY
//!
//! A *lane* is a thread that runs forward passes. On the CPU each computes alone, with one torch thread, so the order of
//! sums depends on neither the number of cores nor that of workers. A GPU has one lane.
//!
//! An input in `progress` has a `request`: rows, each the input under one draw of noise. The `board` packs rows of
//! several inputs into passes of one shape, lanes make the `pass` (noise, scores) and bring answers back, and what
//! follows from a complete answer is the next request or the certification.

mod board;
mod certify;
mod choose;
mod estimate;
mod input;
mod lane;
mod network;
mod packing;
mod pass;
mod progress;
mod request;
mod times;

pub use certify::{Sample, SampleResult, Tell};
pub use network::Network;
pub use times::{Split, Times};

use anyhow::{Context, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use tch::Device;

use crate::cli::DeviceArgs;
use crate::device;

/// The device and its lanes.
pub struct Engine {
    device: Device,
    name: String,
    lanes: ThreadPool,
    times: Times,
    known: packing::Known,
}

impl Engine {
    /// Picks the device and starts its lanes.
    ///
    /// # Errors
    /// When the device cannot be had.
    pub fn new(args: &DeviceArgs) -> Result<Self> {
        let device = device::pick(&args.device)?;
        device::keep_memory();
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let lanes = if device.is_cuda() { 1 } else { args.threads.unwrap_or_else(cores).max(1) };
        let lanes = ThreadPoolBuilder::new()
            .num_threads(lanes)
            .thread_name(|number| format!("lane-{number}"))
            .start_handler(|_| settle_lane())
            .build()
            .context("cannot start the lanes")?;
        Ok(Self {
            device,
            name: device::name(device),
            lanes,
            times: Times::default(),
            known: packing::Known::default(),
        })
    }

    /// What records call the device.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.name
    }

    /// How many lanes there are.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.lanes.current_num_threads()
    }

    /// Where the lanes' time went since the engine began.
    #[must_use]
    pub fn split(&self) -> Split {
        self.times.split()
    }
}

/// Makes a lane compute alone, and the same each time. These settings are the thread's own, or may be: OpenMP counts
/// threads for each thread that asks.
fn settle_lane() {
    tch::set_num_threads(1);
    // TorchScript would rewrite a program after watching its first runs, and compute the later ones otherwise.
    tch::jit::set_profiling_mode(false);
    tch::jit::set_graph_executor_optimize(false);
}

#[cfg(test)]
mod tests;
