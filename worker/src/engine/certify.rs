//! The samples of a job: sigma first, then CERTIFY, spread over the lanes.

use std::sync::atomic::AtomicBool;

use anyhow::Result;
use ddrs_common::data::Image;
use ddrs_common::domain::{Certification, Phase, SampleIndex};
use ddrs_common::spec::{Sweep, Variant};
use tch::{TchError, Tensor};

use super::input::Input;
use super::lane::Floor;
use super::packing::Passes;
use super::{Engine, LoadedNetwork};
use crate::device::move_to;
use crate::model::brief;
use crate::noise::{ChunkKey, NoiseSource};

/// An input to certify.
pub struct Sample {
    /// Its index in the dataset.
    pub index: SampleIndex,
    /// Its position in the sweep's selection, which decides its place in a batch.
    pub position: u64,
    /// The input itself.
    pub image: Image,
}

/// A certification, or why this sample has none; the job goes on.
pub type SampleResult = Result<Certification, String>;

/// Hears of samples as they are done, from any lane: which, what it came to, and the seconds spent
/// on it.
pub type Tell<'a> = dyn Fn(SampleIndex, SampleResult, f64) + Sync + 'a;

/// Why a sample, or a job, came to no result.
pub(super) enum Trouble {
    /// Told to stop.
    Stopped,
    /// Something that may be no fault of the sample.
    Job(anyhow::Error),
}

impl From<TchError> for Trouble {
    fn from(error: TchError) -> Self {
        Self::Job(brief(error))
    }
}

/// One variant's part of a sweep, on one engine.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) engine: &'a Engine,
    pub(super) network: &'a LoadedNetwork,
    pub(super) sweep: &'a Sweep,
    pub(super) variant: &'a Variant,
    pub(super) stop: &'a AtomicBool,
}

impl Engine {
    /// Certifies samples of one variant, which are taken from `samples` as lanes come to need them.
    /// `tell` hears of each as it is done; the seconds of all add up to the time that the lanes
    /// were at work, divided by their number. When `stop` is set, the rest is left undone.
    ///
    /// # Errors
    /// What went wrong that is not one sample's fault, e.g. a device out of memory.
    pub fn certify(
        &self,
        network: &LoadedNetwork,
        variant: &Variant,
        sweep: &Sweep,
        samples: &mut (dyn Iterator<Item = Sample> + Send),
        stop: &AtomicBool,
        tell: &Tell,
    ) -> Result<()> {
        let task = Task {
            engine: self,
            network,
            sweep,
            variant,
            stop,
        };
        let passes = self.passes(network, task.rows())?;
        self.times.begin_job();
        let floor = Floor::new(task, passes, samples, tell);
        self.lanes.broadcast(|_| floor.work());
        floor.outcome()
    }

    /// The forward passes of a network for which a specification leads to `rows` images each.
    pub(super) fn passes(&self, network: &LoadedNetwork, rows: u64) -> Result<Passes> {
        self.lanes
            .install(|| self.known.passes(network, rows, (self.device, self.side)))
            .map_err(brief)
    }
}

impl Task<'_> {
    /// The key of a chunk of an input's noise.
    pub(super) fn key(&self, index: SampleIndex, phase: Phase, chunk: u64) -> ChunkKey {
        NoiseSource {
            seed: self.sweep.seed,
            variant: &self.variant.name,
            index,
        }
        .chunk(phase, chunk)
    }

    /// Inputs whose sigmas are chosen together, as a tensor (B, channels, height, width) in
    /// channels-last order.
    pub(super) fn images(&self, inputs: &[&Input]) -> Result<Tensor, TchError> {
        let values: Vec<f32> = inputs
            .iter()
            .flat_map(|input| input.pixels.iter().copied())
            .collect();
        self.tensor(&values, inputs.len())
    }

    /// Values in the order of memory, as a tensor (B, channels, height, width) in channels-last
    /// order. A GPU is not waited for: so the noise of a step of the ascent is drawn while it
    /// computes the step before.
    pub(super) fn tensor(&self, values: &[f32], images: usize) -> Result<Tensor, TchError> {
        let tensor = Tensor::f_from_slice(values)?.f_view(self.memory_shape(images))?;
        move_to(self.engine.device, tensor)?.f_permute([0, 3, 1, 2])
    }

    /// Images, rows, columns, channels.
    pub(super) fn memory_shape(&self, images: usize) -> [i64; 4] {
        let [channels, height, width] = self.network.shape();
        [images, height, width, channels].map(|side| side as i64)
    }
}
