//! One variant's part of a sweep, as the engine works on it.

use std::sync::atomic::{AtomicBool, Ordering};

use ddrs_common::domain::{Choice, Phase, SampleIndex, Sigma};
use ddrs_common::grid::DataFacts;
use ddrs_common::spec::{DataDependentSpec, Sweep, Variant};
use tch::{TchError, Tensor};

use super::batch_mode::BatchMode;
use super::engine_core::EngineCore;
use super::input::PreparedInput;
use super::network::LoadedNetwork;
use crate::device::move_to;
use crate::failure::brief;
use crate::noise::{ChannelMaps, ChunkKey, GridNoiseSource, NoiseSource, PhaseKey};

/// The reason why a job ended early.
pub(super) enum JobError {
    /// The caller stopped it.
    Stopped,
    /// An error that may not be a sample's fault.
    Failed(anyhow::Error),
}

impl From<TchError> for JobError {
    fn from(error: TchError) -> Self {
        Self::Failed(brief(error))
    }
}

/// One variant of a sweep over its data.
#[derive(Clone, Copy)]
pub struct SweepPart<'a> {
    /// The sweep.
    pub sweep: &'a Sweep,
    /// The variant.
    pub variant: &'a Variant,
    /// The digest of the data, and the grid and the shape of its images.
    pub data: &'a DataFacts,
}

/// A variant to certify samples of, with the network and the engine that do it.
#[derive(Clone, Copy)]
pub(super) struct JobContext<'a> {
    pub(super) core: &'a EngineCore,
    /// The variant's networks, in the order of [`Sweep::networks_of`].
    pub(super) networks: &'a [&'a LoadedNetwork],
    /// The network of the work at hand: the first, unless [`at`](Self::at) chose another.
    pub(super) network: &'a LoadedNetwork,
    pub(super) sweep: &'a Sweep,
    pub(super) variant: &'a Variant,
    pub(super) data: &'a DataFacts,
    pub(super) stop: &'a AtomicBool,
}

impl<'a> JobContext<'a> {
    /// Begins with the first of a variant's networks, of which there is at least one.
    pub(super) fn new(
        core: &'a EngineCore,
        networks: &'a [&'a LoadedNetwork],
        part: SweepPart<'a>,
        stop: &'a AtomicBool,
    ) -> Self {
        let SweepPart {
            sweep,
            variant,
            data,
        } = part;
        Self {
            core,
            networks,
            network: networks[0],
            sweep,
            variant,
            data,
            stop,
        }
    }

    /// Returns the same context for work with another of the variant's networks.
    pub(super) fn at(&self, place: usize) -> Self {
        Self {
            network: self.networks[place],
            ..*self
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Returns the settings of data-dependent sigma.
    pub(super) fn sigma_spec(&self) -> &DataDependentSpec {
        &self.sweep.smoothing.data_dependent
    }

    pub(super) fn classes(&self) -> usize {
        self.network.classes() as usize
    }

    /// Returns the number of images per forward pass that the specification leads to.
    pub(super) fn rows(&self) -> u64 {
        rows_per_pass(self.core.mode, self.network, self.sweep)
    }

    /// Returns the key of an input's draws in a phase that certifies. It covers every network of
    /// the variant, so that none of them is built knowing the noise of another.
    pub(super) fn phase_key(&self, index: SampleIndex, phase: Phase) -> PhaseKey {
        let mut networks: Vec<&str> = self.networks.iter().map(|one| one.identity()).collect();
        let groups = self.class_groups();
        networks.extend(groups.as_deref());
        GridNoiseSource {
            seed: self.sweep.seed,
            networks: &networks,
            levels: &self.keyed_sigmas(index),
            data: &self.data.digest,
            variant: &self.variant.name,
            index,
        }
        .phase(phase)
    }

    /// Returns the classes of the selector that select each level, where several may do so. They
    /// are part of what selects a level, as the selector's network is.
    fn class_groups(&self) -> Option<String> {
        let selected = self.sweep.selected_by(self.variant)?;
        let levels = selected.levels.iter().map(|level| &level.classes);
        let groups = || format!("classes {:?}", levels.collect::<Vec<_>>());
        selected.groups_classes().then(groups)
    }

    /// Returns the sigmas that the key of an input's draws covers: those of the levels of a variant
    /// that selects one, or the one that a file gives. So no file can be chosen to suit the draws.
    fn keyed_sigmas(&self, index: SampleIndex) -> Vec<Sigma> {
        if self.variant.choice == Choice::File {
            return self.given_sigma(index).into_iter().collect();
        }
        let selected = self.sweep.selected_by(self.variant);
        let levels = selected.iter().flat_map(|selected| &selected.levels);
        levels.map(|level| level.sigma).collect()
    }

    /// Returns the sigma of an input for which none is computed: the variant's, or that of a file.
    pub(super) fn given_sigma(&self, index: SampleIndex) -> Option<Sigma> {
        match self.variant.choice {
            Choice::File => self.sweep.file_sigma(index),
            _ => Some(self.variant.sigma0),
        }
    }

    /// Returns the maps from steps of the grid to the network's inputs, per channel.
    pub(super) fn channel_maps(&self) -> ChannelMaps {
        ChannelMaps::new(self.data.images.grid, self.network.normalisation())
    }

    /// Returns the key of a chunk of an input's noise in the sigma phase.
    pub(super) fn key(&self, index: SampleIndex, phase: Phase, chunk: u64) -> ChunkKey {
        NoiseSource {
            seed: self.sweep.seed,
            variant: &self.variant.name,
            index,
        }
        .chunk(phase, chunk)
    }

    /// Stacks the pixels of inputs to a tensor (B, channels, height, width) in channels-last order.
    pub(super) fn images(&self, inputs: &[&PreparedInput]) -> Result<Tensor, TchError> {
        let values: Vec<f32> = inputs
            .iter()
            .flat_map(|input| input.pixels.iter().copied())
            .collect();
        self.tensor(&values, inputs.len())
    }

    /// Moves values in memory order to the device, as a tensor (B, channels, height, width) in
    /// channels-last order.
    ///
    /// Does not wait for a GPU, so the noise of a step of the ascent is drawn while the GPU
    /// computes the step before.
    pub(super) fn tensor(&self, values: &[f32], images: usize) -> Result<Tensor, TchError> {
        let tensor = Tensor::f_from_slice(values)?.f_view(self.memory_shape(images))?;
        move_to(self.core.device, tensor)?.f_permute([0, 3, 1, 2])
    }

    /// Returns the shape of a batch in memory: images, rows, columns, channels.
    pub(super) fn memory_shape(&self, images: usize) -> [i64; 4] {
        let [channels, height, width] = self.network.shape();
        [images, height, width, channels].map(|side| side as i64)
    }
}

/// Returns the number of images per forward pass that a specification leads to.
pub(super) fn rows_per_pass(mode: BatchMode, network: &LoadedNetwork, sweep: &Sweep) -> u64 {
    let [_, height, width] = network.shape();
    mode.rows_per_pass(sweep.certify.chunk.get(), height * width)
}
