//! A network with random weights, and runs of it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use ddrs_common::architecture::Architecture;
use ddrs_common::cli::BadInput;
use ddrs_common::data::Image;
use ddrs_common::domain::SampleIndex;
use ddrs_common::spec::{self, Sweep};
use ddrs_worker::engine::{Engine, LoadedNetwork, Sample, SweepPart};
use ddrs_worker::model;

use super::results::{SampleResults, certify, facts_of};
use crate::cli::BenchArgs;

/// Noise draws per step of the ascent that is timed, as in the peer's.
const GRADIENT_DRAWS: u64 = 8;
/// Steps of that ascent.
const STEPS: u64 = 10;
/// The smallest number of draws per sample that is timed.
const FEWEST_DRAWS: u64 = 100;

/// One network in one precision on an engine.
pub(super) struct BenchNetwork<'a> {
    pub(super) engine: &'a Engine,
    pub(super) file: NetworkFile<'a>,
    network: LoadedNetwork,
}

/// Random weights in a file, and the precision of their forward passes.
pub(super) struct NetworkFile<'a> {
    pub(super) model: &'a str,
    pub(super) precision: &'a str,
    classes: u32,
    /// Height and width of the images.
    pub(super) side: usize,
    folder: PathBuf,
}

/// A run that only chooses sigmas.
pub(super) struct AscentRun {
    sweep: Sweep,
    /// The number of samples, which fills every group on every thread.
    samples: u64,
}

/// The numbers of draws of a run.
#[derive(Clone, Copy)]
struct DrawCounts {
    n0: u64,
    n: u64,
    chunk: u64,
}

impl<'a> BenchNetwork<'a> {
    /// Writes random weights into a folder and loads them.
    ///
    /// # Errors
    /// [`BadInput`], with the model's name, if there is no such model or the device lacks the
    /// precision.
    pub(super) fn new(
        engine: &'a Engine,
        model: &'a str,
        precision: &'a str,
        folder: &Path,
    ) -> Result<Self> {
        let file = NetworkFile::write(model, precision, folder)?;
        let network = file.load(engine)?;
        Ok(Self {
            engine,
            file,
            network,
        })
    }

    /// Returns the number of images per forward pass.
    pub(super) fn images_per_pass(&self, sweep: &Sweep) -> Result<u64> {
        self.engine.images_per_pass(&self.network, sweep)
    }

    /// Returns a sweep that certifies at a fixed sigma, with the draws per sample that were asked
    /// for, or as many as the time allows. Everything has been used once after it.
    pub(super) fn fixed_run(&self, args: &BenchArgs, chunk: u64) -> Result<Sweep> {
        let rate = self.trial_rate(chunk)?;
        let affordable = (rate * args.seconds / args.samples as f64) as u64;
        let n = args.n.unwrap_or_else(|| whole_chunks(affordable, chunk));
        self.file.fixed_sweep(n, chunk)
    }

    /// Returns draws per second, after one run to warm up.
    fn trial_rate(&self, chunk: u64) -> Result<f64> {
        let n = self.trial_draws(chunk)?;
        let samples = self.engine.threads() as u64;
        let trial = self.file.fixed_sweep(n, chunk)?;
        let seconds = self.warm_time(&trial, samples)?;
        Ok((samples * (FEWEST_DRAWS + n)) as f64 / seconds)
    }

    /// Returns a number of draws that fills the passes of a GPU; fewer would make it look slow.
    fn trial_draws(&self, chunk: u64) -> Result<u64> {
        let fewest = self.file.fixed_sweep(FEWEST_DRAWS, chunk)?;
        let images = self.images_per_pass(&fewest)?;
        Ok(FEWEST_DRAWS.max(4 * images))
    }

    /// Returns a run that ascends to sigmas for about this time, with the fewest draws after it
    /// that certifying allows: three per sample.
    pub(super) fn ascent_run(&self, seconds: f64) -> Result<AscentRun> {
        let sweep = self.file.sweep("data-dependent", ASCENT)?;
        let filled = self.samples_that_fill(&sweep);
        let rounds = (seconds / self.warm_time(&sweep, filled)?) as u64;
        Ok(AscentRun {
            sweep,
            samples: filled * rounds.max(1),
        })
    }

    /// Returns the number of samples that fills one group on every thread.
    fn samples_that_fill(&self, sweep: &Sweep) -> u64 {
        let group = self.engine.group_size(&self.network, sweep);
        (self.engine.threads() * group) as u64
    }

    /// Returns gradient draws per second of a whole run.
    pub(super) fn draws_per_second(&self, ascent: &AscentRun) -> Result<f64> {
        let seconds = self.time(&ascent.sweep, ascent.samples)?;
        Ok((ascent.samples * STEPS * GRADIENT_DRAWS) as f64 / seconds)
    }

    /// Returns the seconds of a second run, after one to warm up.
    fn warm_time(&self, sweep: &Sweep, samples: u64) -> Result<f64> {
        self.time(sweep, samples)?;
        self.time(sweep, samples)
    }

    /// Returns the seconds that it takes to certify some samples.
    ///
    /// # Errors
    /// When a sample fails, because fewer passes were made than are counted.
    pub(super) fn time(&self, sweep: &Sweep, samples: u64) -> Result<f64> {
        let start = Instant::now();
        let results = self.certify(sweep, samples)?;
        let seconds = start.elapsed().as_secs_f64();
        self.file.check(results)?;
        Ok(seconds)
    }

    fn certify(&self, sweep: &Sweep, samples: u64) -> Result<SampleResults> {
        let shape = self.network.shape();
        let mut samples = (0..samples).map(|index| sample(shape, index));
        let variant = &sweep.variants()[0];
        let part = SweepPart {
            sweep,
            variant,
            data: &facts_of(shape),
        };
        certify(self.engine, &self.network, part, &mut samples)
    }
}

impl<'a> NetworkFile<'a> {
    fn write(model: &'a str, precision: &'a str, folder: &Path) -> Result<Self> {
        let architecture: Architecture = model.parse().map_err(BadInput::new)?;
        let (classes, side) = architecture.usual_size();
        let file = Self {
            model,
            precision,
            classes,
            side,
            folder: folder.to_owned(),
        };
        model::random_weights(architecture, classes, 0, &file.path())?;
        Ok(file)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("model.safetensors")
    }

    fn load(&self, engine: &Engine) -> Result<LoadedNetwork> {
        let sweep = self.fixed_sweep(FEWEST_DRAWS, FEWEST_DRAWS)?;
        let loaded = engine.load(&sweep.models[0], [3, self.side, self.side]);
        loaded.map_err(|error| self.name_model(&error).into())
    }

    /// Names the model instead of its file, which is gone before a user could look at it.
    fn name_model(&self, error: &anyhow::Error) -> BadInput {
        let text = format!("{error:#}");
        let path = self.path().display().to_string();
        BadInput::new(text.replace(&path, self.model))
    }

    fn fixed_sweep(&self, n: u64, chunk: u64) -> Result<Sweep> {
        let n0 = FEWEST_DRAWS;
        self.sweep("fixed", DrawCounts { n0, n, chunk })
    }

    fn sweep(&self, choice: &str, counts: DrawCounts) -> Result<Sweep> {
        let text = self.specification(choice, counts);
        parse(&text, self.model, &self.folder)
    }

    /// Fails with the error of the first sample that failed.
    fn check(&self, results: SampleResults) -> Result<()> {
        let mut results = results.into_iter();
        if let Some(error) = results.find_map(|(_, result)| result.err()) {
            let Self {
                model, precision, ..
            } = self;
            bail!("{model} in {precision}: a sample failed: {error}");
        }
        Ok(())
    }

    fn specification(&self, choice: &str, counts: DrawCounts) -> String {
        let Self {
            model,
            precision,
            classes,
            ..
        } = self;
        let DrawCounts { n0, n, chunk } = counts;
        // Two draws certify nothing at a small alpha.
        let alpha = if n < FEWEST_DRAWS { 0.4 } else { 0.001 };
        format!(
            r#"name = "bench"
seed = 1
[dataset]
format = "tensors"
path = "none"
[[model]]
name = "bench"
path = "model.safetensors"
architecture = "{model}"
classes = {classes}
precision = "{precision}"
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
[smoothing]
sigma = [0.25]
choice = ["{choice}"]
[smoothing.data-dependent]
iterations = {STEPS}
draws = {GRADIENT_DRAWS}
[certify]
n0 = {n0}
n = {n}
alpha = {alpha}
chunk = {chunk}
"#
        )
    }
}

/// The draws of a run that ascends to sigmas.
const ASCENT: DrawCounts = DrawCounts {
    n0: 1,
    n: 2,
    chunk: GRADIENT_DRAWS,
};

/// Rounds a number of draws down to whole chunks, the usual case, but not below the fewest.
fn whole_chunks(draws: u64, chunk: u64) -> u64 {
    let draws = draws.max(FEWEST_DRAWS);
    if draws > chunk {
        draws - draws % chunk
    } else {
        draws
    }
}

/// Returns a sample whose image is a fixed pattern.
fn sample(shape: [usize; 3], index: u64) -> Sample {
    Sample {
        index: SampleIndex(index),
        position: index,
        image: image(shape, index),
    }
}

fn image(shape: [usize; 3], index: u64) -> Image {
    let places = 0..shape.iter().product::<usize>() as u64;
    let pixels = places.map(|place| pixel(index, place)).collect();
    Image { shape, pixels }
}

fn pixel(image: u64, place: u64) -> f32 {
    ((place * 7 + image * 13) % 256) as f32 / 255.0
}

/// Parses a specification of this program. An error names the key and no line, because the user
/// has no file to look at.
fn parse(text: &str, model: &str, folder: &Path) -> Result<Sweep> {
    let parsed = spec::parse(text, &folder.join("bench.toml"));
    parsed.map_err(|error| {
        let message = format!("{model}: {}: {}", error.key, error.message);
        BadInput::new(message).into()
    })
}

#[cfg(test)]
mod tests {
    use super::whole_chunks;

    #[test]
    fn draws_are_whole_chunks_unless_there_is_less_than_one() {
        assert_eq!(whole_chunks(1234, 500), 1000);
        assert_eq!(whole_chunks(400, 500), 400);
        assert_eq!(whole_chunks(3, 500), 100);
    }
}
