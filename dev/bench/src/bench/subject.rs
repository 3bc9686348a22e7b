//! A network with random weights, and runs of it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use ddrs_common::architecture::Architecture;
use ddrs_common::data::Image;
use ddrs_common::domain::SampleIndex;
use ddrs_common::spec::{self, Sweep};

use ddrs_common::cli::BadInput;
use ddrs_worker::engine::{Engine, LoadedNetwork, Sample};
use ddrs_worker::model;

/// Noise draws in a step of the ascent that is timed, as in the peer's.
const GRADIENT_DRAWS: u64 = 8;
/// Steps of that ascent.
const STEPS: u64 = 10;
/// The fewest draws of a sample that is timed.
const LEAST: u64 = 100;

/// One network in one precision on an engine.
pub(super) struct Subject<'a> {
    engine: &'a Engine,
    model: &'a str,
    precision: &'a str,
    classes: u32,
    dir: PathBuf,
    /// The network.
    pub(super) network: LoadedNetwork,
}

/// A run that does nothing but climb to sigmas.
pub(super) struct Climb {
    sweep: Sweep,
    /// As many as fill every group on every lane.
    samples: u64,
}

impl<'a> Subject<'a> {
    /// Writes random weights into a folder and loads them.
    ///
    /// # Errors
    /// [`BadInput`], naming the model, where there is no such model or the device lacks the
    /// precision.
    pub(super) fn new(
        engine: &'a Engine,
        model: &'a str,
        precision: &'a str,
        dir: &Path,
    ) -> Result<Self> {
        let architecture: Architecture = model
            .parse()
            .map_err(|error| BadInput(anyhow!("{error}")))?;
        let (classes, side) = match architecture {
            Architecture::CifarResnet { .. } => (10, 32),
            _ => (1000, 224),
        };
        let file = dir.join("model.safetensors");
        model::random_weights(architecture, classes, 0, &file)?;
        let spec = parse(
            &text(model, precision, classes, "fixed", [LEAST, LEAST, LEAST]),
            model,
            dir,
        )?;
        // The file is gone before anybody could look at it: the model is what has a name.
        let named = |error| {
            BadInput(anyhow!(
                "{}",
                format!("{error:#}").replace(&file.display().to_string(), model)
            ))
        };
        let network = engine
            .load(&spec.models[0], [3, side, side])
            .map_err(named)?;
        Ok(Self {
            engine,
            model,
            precision,
            classes,
            dir: dir.to_owned(),
            network,
        })
    }

    /// Certifying at a fixed sigma: as many draws a sample as asked for, or as the seconds allow.
    /// Everything has been used once after it.
    pub(super) fn fixed(
        &self,
        chunk: u64,
        n: Option<u64>,
        samples: u64,
        seconds: f64,
    ) -> Result<Sweep> {
        let least = self.sweep("fixed", [LEAST, LEAST, chunk])?;
        // Fewer would not fill the passes of a GPU, and make it look slow.
        let several = LEAST.max(4 * self.engine.images_per_pass(&self.network, &least)?);
        let (lanes, trial) = (
            self.engine.threads() as u64,
            self.sweep("fixed", [LEAST, several, chunk])?,
        );
        self.time(&trial, lanes)?;
        let rate = (lanes * (LEAST + several)) as f64 / self.time(&trial, lanes)?;
        let affordable = ((rate * seconds / samples as f64) as u64).max(LEAST);
        // Whole chunks, as n is in use.
        let affordable = if affordable > chunk {
            affordable - affordable % chunk
        } else {
            affordable
        };
        self.sweep("fixed", [LEAST, n.unwrap_or(affordable), chunk])
    }

    /// Climbing for about so many seconds, with no more certifying after it than must be: three
    /// draws a sample.
    pub(super) fn climb(&self, seconds: f64) -> Result<Climb> {
        let sweep = self.sweep("data-dependent", [1, 2, GRADIENT_DRAWS])?;
        let filled = (self.engine.threads() * self.engine.group_size(&self.network, &sweep)) as u64;
        self.time(&sweep, filled)?;
        let rounds = (seconds / self.time(&sweep, filled)?) as u64;
        Ok(Climb {
            sweep,
            samples: filled * rounds.max(1),
        })
    }

    /// Gradient draws per second of the whole run.
    pub(super) fn draws_per_second(&self, climb: &Climb) -> Result<f64> {
        let seconds = self.time(&climb.sweep, climb.samples)?;
        Ok((climb.samples * STEPS * GRADIENT_DRAWS) as f64 / seconds)
    }

    /// Seconds that it takes to certify some samples.
    ///
    /// # Errors
    /// When a sample fails, for then less was done than is counted.
    pub(super) fn time(&self, sweep: &Sweep, samples: u64) -> Result<f64> {
        let shape = self.network.shape();
        let mut samples = (0..samples).map(|index| {
            let values = 0..shape.iter().product::<usize>() as u64;
            let pixels = values
                .map(|i| ((i * 7 + index * 13) % 256) as f32 / 255.0)
                .collect();
            Sample {
                index: SampleIndex(index),
                position: index,
                image: Image { shape, pixels },
            }
        });
        let failed: Mutex<Option<String>> = Mutex::default();
        let tell = |_, result, _| {
            if let (Err(error), Ok(mut failed)) = (result, failed.lock()) {
                failed.get_or_insert(error);
            }
        };
        let (variants, never, start) = (sweep.variants(), AtomicBool::new(false), Instant::now());
        self.engine.certify(
            &self.network,
            &variants[0],
            sweep,
            &mut samples,
            &never,
            &tell,
        )?;
        let seconds = start.elapsed().as_secs_f64();
        match failed.into_inner() {
            Ok(None) => Ok(seconds),
            Ok(Some(error)) => bail!(
                "{} in {}: a sample failed: {error}",
                self.model,
                self.precision
            ),
            Err(_) => bail!("a lane panicked"),
        }
    }

    /// `n0`, `n` and chunk.
    fn sweep(&self, choice: &str, counts: [u64; 3]) -> Result<Sweep> {
        parse(
            &text(self.model, self.precision, self.classes, choice, counts),
            self.model,
            &self.dir,
        )
    }
}

fn text(
    model: &str,
    precision: &str,
    classes: u32,
    choice: &str,
    [n0, n, chunk]: [u64; 3],
) -> String {
    // Two draws certify nothing at a small alpha.
    let alpha = if n < LEAST { 0.4 } else { 0.001 };
    format!(
        "name = \"bench\"\nseed = 1\n[dataset]\nformat = \"tensors\"\npath = \"none\"\n[[model]]\nname = \"bench\"\n\
         path = \"model.safetensors\"\narchitecture = \"{model}\"\nclasses = {classes}\nprecision = \"{precision}\"\n\
         mean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n[smoothing]\nsigma = [0.25]\nchoice = [\"{choice}\"]\n\
         [smoothing.data-dependent]\niterations = {STEPS}\ndraws = {GRADIENT_DRAWS}\n\
         [certify]\nn0 = {n0}\nn = {n}\nalpha = {alpha}\nchunk = {chunk}\n"
    )
}

/// Reads a specification that nobody wrote: what is wrong with it is a value, in no line that could
/// be looked at.
fn parse(text: &str, model: &str, dir: &Path) -> Result<Sweep> {
    let named =
        |error: spec::SpecError| BadInput(anyhow!("{model}: {}: {}", error.key, error.message));
    Ok(spec::parse(text, &dir.join("bench.toml")).map_err(named)?)
}
