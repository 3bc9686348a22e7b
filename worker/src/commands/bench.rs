//! `bench`: passes per second, gradient draws per second and the split of a run's time, on networks with random weights,
//! each in turn with the PyTorch loops that users run instead.

mod compare;
mod peer;
mod row;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result};
use ddrs_common::architecture::Architecture;
use ddrs_common::data::Image;
use ddrs_common::domain::SampleIndex;
use ddrs_common::output::print;
use ddrs_common::spec::{self, Sweep};

use crate::cli::{BenchArgs, BenchCompare};
use crate::engine::{Engine, Network, Sample};
use crate::exit::Refused;
use crate::model;
use row::Row;

/// Noise draws in a step of the ascent that is timed, as in the peer's.
const GRADIENT_DRAWS: u64 = 8;
/// The fewest draws of a sample that is timed.
const LEAST: u64 = 100;

/// Images of a batch in the peers' loops that are larger than those of CIFAR-10: 500 of them would not fit into memory.
const PEER_PHOTOGRAPHS: u64 = 64;

/// Measures a row for every model, precision and batch, and prints each as it is done.
///
/// # Errors
/// When a device, model or precision cannot be had, or a peer fails.
pub fn bench(args: &BenchArgs) -> Result<()> {
    match &args.compare {
        Some(BenchCompare::Sigma(args)) => return compare::sigma(args),
        Some(BenchCompare::Stopping(args)) => return compare::stopping(args),
        None => {}
    }
    let python = peer::python(args.peer_python.as_deref())?;
    let dir = std::env::temp_dir().join(format!("ddrs-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).context("a temporary folder")?;
    let batches = |model: &str, precision: &str| {
        args.batch.iter().try_for_each(|&batch| {
            let row = Setting { args, model, precision, batch, dir: &dir }.row(python.as_deref())?;
            Ok(print(&row.render(args.format))?)
        })
    };
    let measured = args
        .model
        .iter()
        .try_for_each(|model| args.precision.iter().try_for_each(|precision| batches(model, precision)));
    std::fs::remove_dir_all(&dir).ok();
    measured
}

/// What one row is of.
struct Setting<'a> {
    args: &'a BenchArgs,
    model: &'a str,
    precision: &'a str,
    batch: u64,
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
        let ascent = self.sweep(classes, LEAST, "data-dependent")?;
        let network = engine.load(&ascent.models[0], [3, side, side]).map_err(Refused)?;
        let fixed = self.sweep(classes, self.draws(&engine, &network, classes)?, "fixed")?;
        let mut row = Row::new(self.model, self.precision, engine.batch(&network, &fixed)?, self.batch, &engine);
        let device = if engine.device().starts_with("cpu") { "cpu" } else { "cuda" };
        let passes = self.args.samples * (fixed.certify.n.get() + fixed.certify.n0.get());
        let peer_batch = if side == 32 { self.batch } else { self.batch.min(PEER_PHOTOGRAPHS) };
        for _ in 0..self.args.repeats {
            let (before, seconds) = (engine.split(), Self::time(&engine, &network, &fixed, self.args.samples)?);
            row.certified(passes, self.args.samples, seconds, before, engine.split());
            let before = engine.split().sigma;
            Self::time(&engine, &network, &ascent, self.args.samples)?;
            let steps = u64::from(ascent.smoothing.data_dependent.iterations);
            row.ascended(self.args.samples * steps * GRADIENT_DRAWS, engine.split().sigma - before);
            if let Some(python) = python {
                for mode in ["plain", "tuned", "sigma"] {
                    row.peer(mode, peer::rate(python, mode, self.model, device, peer_batch, self.args.seconds)?);
                }
            }
        }
        Ok(row)
    }

    /// Draws to a sample: as asked for, or as many as the seconds allow. Everything has been used once after it.
    fn draws(&self, engine: &Engine, network: &Network, classes: u32) -> Result<u64> {
        let least = self.sweep(classes, LEAST, "fixed")?;
        let lanes = engine.lanes() as u64;
        Self::time(engine, network, &least, lanes)?;
        let rate = (lanes * LEAST) as f64 / Self::time(engine, network, &least, lanes)?;
        let affordable = (rate * self.args.seconds / self.args.samples.max(1) as f64) as u64;
        Ok(self.args.n.unwrap_or(affordable.max(LEAST)))
    }

    fn sweep(&self, classes: u32, n: u64, choice: &str) -> Result<Sweep> {
        let text = format!(
            "name = \"bench\"\nseed = 1\n[dataset]\nformat = \"tensors\"\npath = \"none\"\n[[model]]\nname = \"bench\"\n\
             path = \"model.safetensors\"\narchitecture = \"{}\"\nclasses = {classes}\nprecision = \"{}\"\n\
             mean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n[smoothing]\nsigma = [0.25]\nchoice = [\"{choice}\"]\n\
             [smoothing.data-dependent]\niterations = 10\ndraws = {GRADIENT_DRAWS}\n\
             [certify]\nn0 = 100\nn = {n}\nalpha = 0.001\nchunk = {}\n",
            self.model, self.precision, self.batch
        );
        Ok(spec::parse(&text, &self.dir.join("bench.toml")).map_err(|error| Refused(error.into()))?)
    }

    /// Seconds that it takes to certify some samples.
    fn time(engine: &Engine, network: &Network, sweep: &Sweep, samples: u64) -> Result<f64> {
        let shape = network.shape();
        let mut samples = (0..samples).map(|index| {
            let values = 0..shape.iter().product::<usize>() as u64;
            let pixels = values.map(|i| ((i * 7 + index * 13) % 256) as f32 / 255.0).collect();
            Sample { index: SampleIndex(index), position: index, image: Image { shape, pixels } }
        });
        let start = Instant::now();
        engine.certify(network, &sweep.variants()[0], sweep, &mut samples, &AtomicBool::new(false), &|_, _, _| {})?;
        Ok(start.elapsed().as_secs_f64())
    }
}
