//! `bench`: passes per second, gradient draws per second and the split of a run's time, on networks with random weights,
//! each in turn with the PyTorch loops that users run instead.

mod peer;
mod row;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use ddrs_common::architecture::Architecture;
use ddrs_common::data::Image;
use ddrs_common::domain::SampleIndex;
use ddrs_common::output::print;
use ddrs_common::spec::{self, Sweep};

use crate::cli::BenchArgs;
use crate::engine::{Engine, Sample};
use crate::exit::Refused;
use crate::model;
use row::Row;

/// Noise draws in a step of the ascent that is timed, as in the peer's.
const GRADIENT_DRAWS: u64 = 8;

/// Measures a row for every model and precision and prints each as it is done.
///
/// # Errors
/// When a device, model or precision cannot be had, or a peer fails.
pub fn bench(args: &BenchArgs) -> Result<()> {
    let python = peer_python(args)?;
    let dir = std::env::temp_dir().join(format!("ddrs-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).context("a temporary folder")?;
    let measured = args.model.iter().try_for_each(|model| {
        args.precision.iter().try_for_each(|precision| {
            let row = Setting { args, model, precision, dir: &dir }.row(python.as_deref())?;
            Ok(print(&row.render(args.format))?)
        })
    });
    std::fs::remove_dir_all(&dir).ok();
    measured
}

/// The python that was named, which must have torch, or the one on the path if it happens to.
fn peer_python(args: &BenchArgs) -> Result<Option<PathBuf>> {
    if let Some(python) = &args.peer_python {
        ensure!(peer::has_torch(python), Refused(anyhow::anyhow!("{} cannot import torch", python.display())));
        return Ok(Some(python.clone()));
    }
    Ok(Some(PathBuf::from("python3")).filter(|python| peer::has_torch(python)))
}

/// What one row is of.
struct Setting<'a> {
    args: &'a BenchArgs,
    model: &'a str,
    precision: &'a str,
    dir: &'a Path,
}

impl Setting<'_> {
    /// Measures, in turn with the peers where there is a python for them.
    fn row(&self, python: Option<&Path>) -> Result<Row> {
        let architecture: Architecture = self.model.parse().map_err(|error| Refused(anyhow::anyhow!("{error}")))?;
        let (classes, side) = match architecture {
            Architecture::CifarResnet { .. } => (10, 32),
            _ => (1000, 224),
        };
        model::random_weights(architecture, classes, 0, &self.dir.join("model.safetensors"))?;
        let engine = Engine::new(&self.args.device).map_err(Refused)?;
        let mut row = Row::new(self.model, self.precision, self.args.batch, &engine);
        let (fixed, ascent) = (self.sweep(classes, self.args.n, "fixed")?, self.sweep(classes, 20, "data-dependent")?);
        let device = if engine.device().starts_with("cpu") { "cpu" } else { "cuda" };
        let passes = self.args.samples * (self.args.n + fixed.certify.n0.get());
        for _ in 0..self.args.repeats {
            let (before, seconds) = (engine.split(), self.time(&engine, &fixed, side)?);
            row.certified(passes, self.args.samples, seconds, before, engine.split());
            let before = engine.split().sigma;
            self.time(&engine, &ascent, side)?;
            let steps = u64::from(ascent.smoothing.data_dependent.iterations);
            row.ascended(self.args.samples * steps * GRADIENT_DRAWS, engine.split().sigma - before);
            if let Some(python) = python {
                for mode in ["plain", "tuned", "sigma"] {
                    row.peer(mode, peer::rate(python, mode, self.model, device, self.args.batch, passes)?);
                }
            }
        }
        Ok(row)
    }

    fn sweep(&self, classes: u32, n: u64, choice: &str) -> Result<Sweep> {
        let text = format!(
            "name = \"bench\"\nseed = 1\n[dataset]\nformat = \"tensors\"\npath = \"none\"\n[[model]]\nname = \"bench\"\n\
             path = \"model.safetensors\"\narchitecture = \"{}\"\nclasses = {classes}\nprecision = \"{}\"\n\
             mean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n[smoothing]\nsigma = [0.25]\nchoice = [\"{choice}\"]\n\
             [smoothing.data-dependent]\niterations = 10\ndraws = {GRADIENT_DRAWS}\n\
             [certify]\nn0 = 100\nn = {n}\nalpha = 0.001\nchunk = {}\n",
            self.model, self.precision, self.args.batch
        );
        Ok(spec::parse(&text, &self.dir.join("bench.toml")).map_err(|error| Refused(error.into()))?)
    }

    /// Seconds that it takes to certify the samples.
    fn time(&self, engine: &Engine, sweep: &Sweep, side: usize) -> Result<f64> {
        let shape = [3, side, side];
        let network = engine.load(&sweep.models[0], shape).map_err(Refused)?;
        let samples = (0..self.args.samples).map(|index| {
            let pixels = (0..3 * side * side).map(|i| ((i as u64 * 7 + index * 13) % 256) as f32 / 255.0).collect();
            Sample { index: SampleIndex(index), position: index, image: Image { shape, pixels } }
        });
        let (samples, start) = (samples.collect(), Instant::now());
        engine.certify(&network, &sweep.variants()[0], sweep, samples, &AtomicBool::new(false), &|_, _, _| {})?;
        Ok(start.elapsed().as_secs_f64())
    }
}
