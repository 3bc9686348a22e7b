//! The parts of an engine that all its jobs share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use anyhow::{Context, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use tch::Device;

use super::batch_buffers::BatchBuffers;
use super::batch_mode::BatchMode;
use super::network::LoadedNetwork;
use super::packing::{PackingCache, PassShape};
use super::samplers::SamplerCache;
use super::times::WorkTimes;
use crate::device;

/// Settings of an engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The device's name: `auto`, `cpu` or `cuda:N`.
    pub device: String,
    /// CPU threads that run forward passes; `None` means one per core. A GPU has one thread.
    pub threads: Option<usize>,
}

/// The device, and everything that belongs to it and outlives a job.
pub(super) struct EngineCore {
    pub(super) device: Device,
    pub(super) mode: BatchMode,
    /// The threads that run forward passes.
    pub(super) threads: ThreadPool,
    pub(super) times: WorkTimes,
    pub(super) packings: PackingCache,
    pub(super) samplers: SamplerCache,
    buffers: Mutex<BatchBuffers>,
}

impl EngineCore {
    /// Opens the device and starts the threads.
    pub(super) fn new(options: &EngineOptions) -> Result<Self> {
        let device = device::pick(&options.device)?;
        device::keep_freed_memory();
        Ok(Self {
            device,
            mode: BatchMode::of(device),
            threads: start_threads(thread_count(options, device))?,
            times: WorkTimes::default(),
            packings: PackingCache::default(),
            samplers: SamplerCache::default(),
            buffers: Mutex::default(),
        })
    }

    pub(super) fn thread_count(&self) -> usize {
        self.threads.current_num_threads()
    }

    /// Returns the shape of a network's forward passes, where the specification leads to `rows`
    /// images per pass.
    ///
    /// # Errors
    /// When an image's scores depend on the other images of a pass.
    pub(super) fn pass_shape(&self, network: &LoadedNetwork, rows: u64) -> Result<PassShape> {
        self.threads
            .install(|| self.packings.shape(network, rows, self.device, self.mode))
    }

    pub(super) fn buffers(&self) -> MutexGuard<'_, BatchBuffers> {
        // Every pass overwrites what it uses of the buffers, so a panic elsewhere does no harm.
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn thread_count(options: &EngineOptions, device: Device) -> usize {
    if device.is_cuda() {
        return 1;
    }
    options.threads.unwrap_or_else(cores).max(1)
}

fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

fn start_threads(count: usize) -> Result<ThreadPool> {
    ThreadPoolBuilder::new()
        .num_threads(count)
        .thread_name(|number| format!("engine-{number}"))
        .start_handler(|_| configure_thread())
        .stack_size(device::THREAD_STACK_BYTES)
        .build()
        .context("cannot start the threads that run forward passes")
}

/// Makes a thread compute without helpers, and the same each time. These settings belong to the
/// thread, or may: OpenMP keeps a number of threads for each thread that calls it.
fn configure_thread() {
    tch::set_num_threads(1);
    // TorchScript would watch a program's first runs, rewrite it, and compute later runs in another
    // way.
    tch::jit::set_profiling_mode(false);
    tch::jit::set_graph_executor_optimize(false);
}
