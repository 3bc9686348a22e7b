//! The engine: samples in, certifications out.
//!
//! [`Engine`] has the device and the threads that run forward passes. On the CPU each thread
//! computes alone, with one torch thread, so that the order of sums depends on neither the number
//! of cores nor the number of workers. A GPU has one thread.
//!
//! The modules in reading order, from the first that a caller meets to the last. Each uses only
//! modules that come after it.
//! - `scheduler`: distributes the work of a job over the threads
//! - `sample_groups`: takes the samples of a job in groups
//! - `ascent`: chooses the sigmas of a group by gradient ascent
//! - `row_queue`: packs the rows that inputs wait for into passes
//! - `progress`: one input between its first draw and its certification
//! - `estimate`: the radius that fresh draws estimate at given sigmas
//! - `forward`: runs one forward pass and reads its scores
//! - `batch`: makes the batch of a pass
//! - `task`: one variant's part of a sweep, on one engine
//! - `engine_core`: the device, the threads, and what outlives a job
//! - `packing`: the size of a pass, and the rows that may share one
//! - `pass`: the contents of one pass
//! - `input`: a sample as passes need it
//! - `network`: a loaded model, ready for every thread
//! - `coupling`: refuses a network whose scores depend on the other images of a pass
//! - `batch_buffers`, `device_counts`: noise and class counts on a GPU, without a wait
//! - `samplers`: tables of grid noise that are used again
//! - `times`: what the threads spend their time on
//! - `request`, `scores`, `sample`, `batch_mode`: the vocabulary

mod ascent;
mod batch;
mod batch_buffers;
mod batch_mode;
mod coupling;
mod device_counts;
mod engine_core;
mod estimate;
mod forward;
mod input;
mod network;
mod packing;
mod pass;
mod progress;
mod request;
mod row_queue;
mod sample;
mod sample_groups;
mod samplers;
mod scheduler;
mod scores;
mod task;
mod times;

pub use engine_core::EngineOptions;
pub use network::LoadedNetwork;
pub use sample::{Sample, SampleCallback, SampleResult};
pub use task::SweepPart;
pub use times::TimeSplit;

use std::sync::atomic::AtomicBool;

use anyhow::Result;
use ddrs_common::domain::Sigma;
use ddrs_common::roots::Roots;
use ddrs_common::spec::{ModelSpec, Sweep};
use rayon::prelude::*;
use tch::Device;

use crate::device;
use crate::model::ModelFile;
use engine_core::EngineCore;
use packing::PassShape;
use scheduler::JobScheduler;
use task::{JobContext, rows_per_pass};

/// A device with the threads that run forward passes on it.
pub struct Engine {
    core: EngineCore,
    name: String,
}

impl Engine {
    /// Opens the device and starts the threads.
    ///
    /// # Errors
    /// When the device is not available; says why.
    pub fn new(options: &EngineOptions) -> Result<Self> {
        let core = EngineCore::new(options)?;
        let name = device::name(core.device);
        Ok(Self { core, name })
    }

    /// Returns the device's name in records.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.name
    }

    /// Returns the number of threads that run forward passes.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.core.thread_count()
    }

    /// Returns the device on which the networks compute.
    pub(crate) fn torch_device(&self) -> Device {
        self.core.device
    }

    /// Applies `work` to each item, on the threads that run forward passes. The results have the
    /// order of the items.
    pub(crate) fn map<T: Sync, R: Send>(
        &self,
        items: &[T],
        work: impl Fn(&T) -> R + Sync + Send,
    ) -> Vec<R> {
        let threads = &self.core.threads;
        threads.install(|| items.par_iter().map(work).collect())
    }

    /// Returns what the threads spent their time on since the engine began.
    #[must_use]
    pub fn time_split(&self) -> TimeSplit {
        self.core.times.split()
    }

    /// Reads a model file from anywhere, and loads it as [`Self::load_file`] does.
    ///
    /// # Errors
    /// As [`Self::load_file`], and when the file cannot be read.
    pub fn load(&self, spec: &ModelSpec, shape: [usize; 3]) -> Result<LoadedNetwork> {
        self.load_file(spec, &ModelFile::read(spec, &Roots::anywhere())?, shape)
    }

    /// Loads a model and scores an empty image of `shape` with it.
    ///
    /// # Errors
    /// When the file is not what the specification says, the device lacks the precision, or the
    /// scores are not one finite number per class.
    pub fn load_file(
        &self,
        spec: &ModelSpec,
        file: &ModelFile,
        shape: [usize; 3],
    ) -> Result<LoadedNetwork> {
        LoadedNetwork::load(spec, file, shape, self.core.device, &self.core.threads)
    }

    /// Certifies samples of one variant, and takes them from `samples` as threads need them.
    /// `networks` are those of the variant, in the order of [`Sweep::networks_of`].
    ///
    /// `on_result` is called when a sample is done. The seconds of all samples add up to the time
    /// that the threads were at work, divided by their number. When `stop` is set, the samples that
    /// are not done are left out.
    ///
    /// # Errors
    /// When something fails that is not one sample's fault, e.g. the device has no memory left.
    pub fn certify(
        &self,
        networks: &[&LoadedNetwork],
        part: SweepPart,
        samples: &mut (dyn Iterator<Item = Sample> + Send),
        stop: &AtomicBool,
        on_result: &SampleCallback,
    ) -> Result<()> {
        let task = JobContext::new(&self.core, networks, part, stop);
        let places = 0..networks.len();
        let shapes: Vec<PassShape> = places
            .map(|place| self.pass_shape(&task.at(place)))
            .collect::<Result<_>>()?;
        self.core.times.begin_job();
        let scheduler = JobScheduler::new(task, &shapes, samples, on_result);
        self.core.threads.broadcast(|_| scheduler.run_thread());
        scheduler.outcome()
    }

    /// Estimates R of Algorithm 1 at each of some sigmas, from the same draws of the variant's
    /// sigma phase.
    ///
    /// # Errors
    /// When the sample does not fit the network, or scores are not finite.
    pub fn estimate_radii(
        &self,
        network: &LoadedNetwork,
        part: SweepPart,
        sample: &Sample,
        sigmas: &[Sigma],
        draws: u32,
    ) -> Result<Vec<f64>> {
        let never = AtomicBool::new(false);
        let networks = [network];
        let task = JobContext::new(&self.core, &networks, part, &never);
        estimate::estimate_radii(&task, sample, sigmas, draws)
    }

    fn pass_shape(&self, task: &JobContext) -> Result<PassShape> {
        self.core.pass_shape(task.network, task.rows())
    }

    /// Returns the number of images per forward pass. It is measured at the first call for a
    /// network, and passes of this size are tried.
    ///
    /// # Errors
    /// When an image's scores depend on the other images of a pass.
    pub fn images_per_pass(&self, network: &LoadedNetwork, sweep: &Sweep) -> Result<u64> {
        let rows = rows_per_pass(self.core.mode, network, sweep);
        Ok(self.core.pass_shape(network, rows)?.rows)
    }

    /// Returns the number of inputs of a network whose sigmas are chosen together, on one thread.
    #[must_use]
    pub fn group_size(&self, network: &LoadedNetwork, sweep: &Sweep) -> usize {
        ascent::group_size(self.core.device, network, sweep)
    }
}

#[cfg(test)]
mod tests;
