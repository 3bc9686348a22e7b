//! The engine: images in, certifications out.
//!
//! - [`Engine`]: the device and its lanes
//! - [`LoadedNetwork`]: a loaded model, one copy of its handle a lane
//! - [`Engine::certify`]: a sigma for each input, then CERTIFY
//!
//! A *lane* is a thread that runs forward passes. On the CPU each computes alone, with one torch
//! thread, so the order of sums depends on neither the number of cores nor that of workers. A GPU
//! has one lane.
//!
//! An input in `progress` has a `request`: rows, each the input under one draw of noise. The
//! `board` packs rows of several inputs into passes of one shape, lanes make the `pass` (noise,
//! scores) and bring answers back, and what follows from a complete answer is the next request or
//! the certification. On a GPU noise is made on a `stage` and classes are counted in a `tally`,
//! both of the device, so that nothing waits for it until a decision does.

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
mod stage;
mod tally;
mod times;

pub use certify::{Sample, SampleResult, Tell};
pub use network::LoadedNetwork;
pub use times::{TimeSplit, Times};

use std::sync::Mutex;

use anyhow::{Context, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use tch::Device;

use crate::device;

/// Who makes noise and counts classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The lanes: many threads, each with a few images at a time.
    Host,
    /// The device itself: one thread that tells it what to do ahead of its work.
    Device,
}

/// Settings of an [`Engine`].
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The device's name: `auto`, `cpu` or `cuda:N`.
    pub device: String,
    /// CPU threads that run forward passes; `None` means one per core. A GPU has one thread.
    pub threads: Option<usize>,
}

/// The device and its lanes.
pub struct Engine {
    device: Device,
    side: Side,
    name: String,
    lanes: ThreadPool,
    times: Times,
    known: packing::Known,
    stage: Mutex<stage::Stage>,
}

impl Engine {
    /// Picks the device and starts its lanes.
    ///
    /// # Errors
    /// When the device cannot be had.
    pub fn new(options: &EngineOptions) -> Result<Self> {
        let device = device::pick(&options.device)?;
        device::keep_freed_memory();
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let lanes = if device.is_cuda() {
            1
        } else {
            options.threads.unwrap_or_else(cores).max(1)
        };
        let lanes = ThreadPoolBuilder::new()
            .num_threads(lanes)
            .thread_name(|number| format!("lane-{number}"))
            .start_handler(|_| settle_lane())
            .stack_size(device::THREAD_STACK_BYTES)
            .build()
            .context("cannot start the lanes")?;
        Ok(Self {
            device,
            side: if device.is_cuda() {
                Side::Device
            } else {
                Side::Host
            },
            name: device::name(device),
            lanes,
            times: Times::default(),
            known: packing::Known::default(),
            stage: Mutex::default(),
        })
    }

    /// What records call the device.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.name
    }

    /// How many lanes there are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.lanes.current_num_threads()
    }

    /// Where the lanes' time went since the engine began.
    #[must_use]
    pub fn time_split(&self) -> TimeSplit {
        self.times.split()
    }
}

/// Makes a lane compute alone, and the same each time. These settings are the thread's own, or may
/// be: OpenMP counts threads for each thread that asks.
fn settle_lane() {
    tch::set_num_threads(1);
    // TorchScript would rewrite a program after watching its first runs, and compute the later ones
    // otherwise.
    tch::jit::set_profiling_mode(false);
    tch::jit::set_graph_executor_optimize(false);
}

#[cfg(test)]
mod tests;
