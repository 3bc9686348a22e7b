//! The samples of a job: sigma first, then CERTIFY, spread over the lanes.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Result;
use ddrs_common::certify::{Certifier, Step};
use ddrs_common::data::Image;
use ddrs_common::domain::{Certification, Choice, Phase, SampleIndex, Sigma};
use ddrs_common::spec::{Sweep, Variant};
use rayon::prelude::*;
use tch::{Kind, TchError, Tensor};

use super::{Engine, Network};
use crate::model::brief;
use crate::noise::{ChunkKey, NoiseSource};
use crate::sigma::ascend;

/// An input to certify.
pub struct Sample {
    /// Its index in the dataset.
    pub index: SampleIndex,
    /// The input itself.
    pub image: Image,
}

/// A certification, or why this sample has none; the job goes on.
pub type SampleResult = Result<Certification, String>;

/// Pixels of the images that one forward pass on the CPU takes: their activations should stay in the caches. The split
/// of a chunk is a function of the image's size alone, so it changes no result between runs.
const CPU_PIXELS: usize = 50 * 32 * 32;
/// The fewest images of a forward pass, unless the chunk has fewer.
const CPU_LEAST: usize = 8;
/// Inputs whose sigmas are chosen together. The shape is the same for every group, filled up when there are fewer, for
/// libraries choose their kernels by the shape, and an input's sigma must not depend on its company.
const CPU_GROUP: usize = 2;
const GPU_GROUP: usize = 32;

/// Why a sample, or a job, came to no result.
enum Trouble {
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
struct Task<'a> {
    engine: &'a Engine,
    network: &'a Network,
    sweep: &'a Sweep,
    variant: &'a Variant,
    stop: &'a AtomicBool,
}

/// An input in the order of memory: row, column, channel.
struct Input {
    index: SampleIndex,
    pixels: Vec<f32>,
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
        for Sample { index, image } in samples {
            match network.admits(&image) {
                Ok(()) => inputs.push(Input { index, pixels: rows_first(&image) }),
                Err(error) => tell(index, Err(error), 0.0),
            }
        }
        let task = Task { engine: self, network, sweep, variant, stop };
        let group = if self.device.is_cuda() { GPU_GROUP } else { CPU_GROUP };
        let ended =
            self.lanes.install(|| inputs.par_chunks(group).try_for_each(|inputs| task.group(inputs, group, tell)));
        match ended {
            Err(Trouble::Job(error)) => Err(error),
            Ok(()) | Err(Trouble::Stopped | Trouble::Sample(_)) => Ok(()),
        }
    }
}

impl Task<'_> {
    /// Chooses the sigmas of a group, then certifies each of its inputs.
    fn group(
        &self,
        inputs: &[Input],
        size: usize,
        tell: &(dyn Fn(SampleIndex, SampleResult, f64) + Sync),
    ) -> Result<(), Trouble> {
        let start = Instant::now();
        let sigmas = match self.variant.choice {
            Choice::Fixed => vec![Some(self.variant.sigma0.get()); inputs.len()],
            Choice::DataDependent => self.engine.times.sigma.time(|| self.choose(inputs, size))?,
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

    /// Algorithm 1 for a group of `size` inputs, the last repeated where there are fewer.
    fn choose(&self, inputs: &[Input], size: usize) -> Result<Vec<Option<f64>>, Trouble> {
        let spec = &self.sweep.smoothing.data_dependent;
        let Some(last) = inputs.last() else { return Ok(Vec::new()) };
        let filled: Vec<&Input> = inputs.iter().chain(std::iter::repeat(last)).take(size).collect();
        let values: Vec<f32> = filled.iter().flat_map(|input| input.pixels.iter().copied()).collect();
        let images = self.tensor(&values, size)?;
        let noise = |step: u64| {
            if self.stop.load(Ordering::Relaxed) {
                return Err(TchError::Torch(STOPPED.to_owned()));
            }
            let mut noise = Vec::with_capacity(values.len() * spec.draws as usize);
            for input in &filled {
                self.key(input, Phase::Sigma, step).append(u64::from(spec.draws), input.pixels.len(), &mut noise);
            }
            self.tensor(&noise, size * spec.draws as usize)
        };
        let scores = |batch: &Tensor| self.network.scores(batch);
        match ascend(&images, self.variant.sigma0.get(), spec, &scores, noise) {
            Ok(mut sigmas) => {
                sigmas.truncate(inputs.len());
                Ok(sigmas)
            }
            Err(TchError::Torch(reason)) if reason == STOPPED => Err(Trouble::Stopped),
            Err(error) => Err(error.into()),
        }
    }

    /// CERTIFY at a chosen sigma.
    fn sample(&self, input: &Input, sigma: Option<f64>) -> Result<Certification, Trouble> {
        let no_sigma = || Trouble::Sample("choosing sigma came to a derivative that is not finite".to_owned());
        let sigma = sigma.and_then(|value| Sigma::new(value).ok()).ok_or_else(no_sigma)?;
        let mut certifier = Certifier::new(&self.sweep.certify, sigma);
        loop {
            match certifier.next() {
                Step::Draw { phase, n } => {
                    let counts = self.counts(input, sigma, phase, n)?;
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

    /// How often each class comes in `n` draws of a phase.
    fn counts(&self, input: &Input, sigma: Sigma, phase: Phase, n: u64) -> Result<Vec<u64>, Trouble> {
        let chunk = self.sweep.certify.chunk.get();
        let slice = self.slice(chunk);
        let slices: Vec<(ChunkKey, Range<u64>)> = (0..n.div_ceil(chunk))
            .flat_map(|number| {
                let (key, draws) = (self.key(input, phase, number), chunk.min(n - number * chunk));
                (0..draws.div_ceil(slice)).map(move |part| (key, part * slice..draws.min((part + 1) * slice)))
            })
            .collect();
        let none = || vec![0; self.network.classes() as usize];
        let add = |mut sum: Vec<u64>, counts: Vec<u64>| {
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            Ok(sum)
        };
        slices.into_par_iter().map(|(key, draws)| self.count(input, sigma, key, draws)).try_reduce(none, add)
    }

    /// One forward pass: how often each class comes in a range of draws of a chunk.
    fn count(&self, input: &Input, sigma: Sigma, key: ChunkKey, draws: Range<u64>) -> Result<Vec<u64>, Trouble> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Trouble::Stopped);
        }
        let times = &self.engine.times;
        tch::no_grad(|| {
            let batch = times.noise.time(|| self.noisy(input, sigma, key, draws))?;
            let scores = times.forward.time(|| self.network.scores(&batch))?;
            times.count.time(|| count_classes(&scores, self.network.classes()))
        })
    }

    fn noisy(&self, input: &Input, sigma: Sigma, key: ChunkKey, draws: Range<u64>) -> Result<Tensor, TchError> {
        let images = draws.end - draws.start;
        if self.engine.device.is_cuda() {
            tch::manual_seed(key.device_seed());
            let noise = Tensor::f_randn(self.memory_shape(images as usize), (Kind::Float, self.engine.device))?;
            let noise = noise.f_permute([0, 3, 1, 2])?;
            return self.tensor(&input.pixels, 1)?.f_add(&noise.f_mul_scalar(sigma.get())?);
        }
        self.tensor(&key.noisy(draws, &input.pixels, sigma.get()), images as usize)
    }

    /// How many draws of a chunk one forward pass takes.
    fn slice(&self, chunk: u64) -> u64 {
        let [_, height, width] = self.network.shape();
        let slice =
            if self.engine.device.is_cuda() { chunk } else { (CPU_PIXELS / (height * width)).max(CPU_LEAST) as u64 };
        slice.min(chunk)
    }

    fn key(&self, input: &Input, phase: Phase, chunk: u64) -> ChunkKey {
        NoiseSource { seed: self.sweep.seed, variant: &self.variant.name, index: input.index }.chunk(phase, chunk)
    }

    /// Images from values in the order of memory, as a tensor (B, channels, height, width) in channels-last order.
    fn tensor(&self, values: &[f32], images: usize) -> Result<Tensor, TchError> {
        let tensor = Tensor::f_from_slice(values)?.f_view(self.memory_shape(images))?.f_permute([0, 3, 1, 2])?;
        tensor.f_to(self.engine.device)
    }

    fn memory_shape(&self, images: usize) -> [i64; 4] {
        let [channels, height, width] = self.network.shape();
        [images, height, width, channels].map(|side| side as i64)
    }
}

/// How the choice of sigma is told to stop from inside.
const STOPPED: &str = "stopped";

/// How often each class scores highest, the first among equals.
fn count_classes(scores: &Tensor, classes: u32) -> Result<Vec<u64>, Trouble> {
    let finite = scores.f_isfinite()?.f_all()?;
    let counts = scores.f_argmax(1, false)?.f_bincount(None::<Tensor>, i64::from(classes))?;
    if i64::try_from(finite)? == 0 {
        return Err(Trouble::Sample("the model's scores are not all finite".to_owned()));
    }
    let counts: Vec<i64> = Vec::try_from(counts)?;
    Ok(counts.into_iter().map(|count| count as u64).collect())
}

/// The pixels of an image in the order row, column, channel.
fn rows_first(image: &Image) -> Vec<f32> {
    let [channels, height, width] = image.shape;
    let plane = height * width;
    (0..plane).flat_map(|place| (0..channels).map(move |channel| image.pixels[channel * plane + place])).collect()
}
