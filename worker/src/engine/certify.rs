//! The samples of a job: sigma first, then CERTIFY, spread over the lanes.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Result;
use ddrs_common::certify::{Certifier, Step};
use ddrs_common::data::Image;
use ddrs_common::domain::{Certification, Choice, Phase, SampleIndex, Sigma};
use ddrs_common::spec::{Sweep, Variant};
use rayon::prelude::*;
use tch::{TchError, Tensor};

use super::{Engine, Network};
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

/// Why a sample, or a job, came to no result.
pub(super) enum Trouble {
    /// Told to stop.
    Stopped,
    /// This sample cannot be certified.
    Sample(String),
    /// Something that may be no fault of the sample.
    Job(anyhow::Error),
}

impl From<TchError> for Trouble {
    fn from(error: TchError) -> Self {
        Self::Job(brief(error))
    }
}

/// One variant's part of a sweep, on one engine.
pub(super) struct Task<'a> {
    pub(super) engine: &'a Engine,
    pub(super) network: &'a Network,
    pub(super) sweep: &'a Sweep,
    pub(super) variant: &'a Variant,
    pub(super) stop: &'a AtomicBool,
}

/// An input in the order of memory: row, column, channel.
pub(super) struct Input {
    pub(super) index: SampleIndex,
    pub(super) position: u64,
    pub(super) pixels: Vec<f32>,
}

impl Engine {
    /// Certifies samples of one variant. `tell` hears of each as it is done, with the seconds spent on it, in any order
    /// and from any lane. When `stop` is set, the rest is left undone.
    ///
    /// # Errors
    /// What went wrong that is not one sample's fault, e.g. a device out of memory.
    pub fn certify(
        &self,
        network: &Network,
        variant: &Variant,
        sweep: &Sweep,
        samples: Vec<Sample>,
        stop: &AtomicBool,
        tell: &(dyn Fn(SampleIndex, SampleResult, f64) + Sync),
    ) -> Result<()> {
        let mut inputs = Vec::new();
        for Sample { index, position, image } in samples {
            match network.admits(&image) {
                Ok(()) => inputs.push(Input { index, position, pixels: rows_first(&image) }),
                Err(error) => tell(index, Err(error), 0.0),
            }
        }
        let task = Task { engine: self, network, sweep, variant, stop };
        let size = task.group_size() as u64;
        inputs.sort_by_key(|input| input.position);
        let groups: Vec<&[Input]> = inputs.chunk_by(|a, b| a.position / size == b.position / size).collect();
        let ended = self.lanes.install(|| groups.into_par_iter().try_for_each(|inputs| task.group(inputs, tell)));
        match ended {
            Err(Trouble::Job(error)) => Err(error),
            Ok(()) | Err(Trouble::Stopped | Trouble::Sample(_)) => Ok(()),
        }
    }
}

impl Task<'_> {
    /// Chooses the sigmas of a group, then certifies each of its inputs.
    fn group(&self, inputs: &[Input], tell: &(dyn Fn(SampleIndex, SampleResult, f64) + Sync)) -> Result<(), Trouble> {
        let start = Instant::now();
        let sigmas = match self.variant.choice {
            Choice::Fixed => vec![Some(self.variant.sigma0.get()); inputs.len()],
            Choice::DataDependent => self.engine.times.sigma.time(|| self.choose(inputs))?,
        };
        let share = start.elapsed().as_secs_f64() / inputs.len() as f64;
        inputs.par_iter().zip(sigmas).try_for_each(|(input, sigma)| {
            let start = Instant::now();
            let result = match self.sample(input, sigma) {
                Ok(certification) => Ok(certification),
                Err(Trouble::Sample(error)) => Err(error),
                Err(trouble) => return Err(trouble),
            };
            tell(input.index, result, share + start.elapsed().as_secs_f64());
            Ok(())
        })
    }

    /// CERTIFY at a chosen sigma.
    fn sample(&self, input: &Input, sigma: Option<f64>) -> Result<Certification, Trouble> {
        let no_sigma =
            || Trouble::Sample("choosing sigma came to scores or a derivative that is not finite".to_owned());
        let sigma = sigma.and_then(|value| Sigma::new(value).ok()).ok_or_else(no_sigma)?;
        let mut certifier = Certifier::new(&self.sweep.certify, sigma);
        loop {
            match certifier.next() {
                Step::Draw { phase, chunk, n } => {
                    let counts = self.counts(input, sigma, phase, chunk, n)?;
                    certifier.observe(&counts).map_err(|error| Trouble::Job(error.into()))?;
                }
                Step::Done(verdict) => {
                    return Ok(Certification {
                        outcome: verdict.outcome,
                        sigma,
                        sigma0: self.variant.sigma0,
                        n0: verdict.n0,
                        n: verdict.n,
                        count: verdict.count,
                        p_lower: verdict.p_lower,
                        alpha: self.sweep.certify.alpha,
                    });
                }
            }
        }
    }

    /// The key of a chunk of an input's noise.
    pub(super) fn key(&self, input: &Input, phase: Phase, chunk: u64) -> ChunkKey {
        NoiseSource { seed: self.sweep.seed, variant: &self.variant.name, index: input.index }.chunk(phase, chunk)
    }

    /// Images from values in the order of memory, as a tensor (B, channels, height, width) in channels-last order.
    pub(super) fn tensor(&self, values: &[f32], images: usize) -> Result<Tensor, TchError> {
        let tensor = Tensor::f_from_slice(values)?.f_view(self.memory_shape(images))?.f_permute([0, 3, 1, 2])?;
        tensor.f_to(self.engine.device)
    }

    pub(super) fn memory_shape(&self, images: usize) -> [i64; 4] {
        let [channels, height, width] = self.network.shape();
        [images, height, width, channels].map(|side| side as i64)
    }
}

/// The pixels of an image in the order row, column, channel.
fn rows_first(image: &Image) -> Vec<f32> {
    let [channels, height, width] = image.shape;
    let plane = height * width;
    (0..plane).flat_map(|place| (0..channels).map(move |channel| image.pixels[channel * plane + place])).collect()
}
