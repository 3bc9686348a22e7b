//! `bench`: passes per second and the split of a run's time, on a network with random weights.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result};
use ddrs_common::architecture::Architecture;
use ddrs_common::data::Image;
use ddrs_common::domain::SampleIndex;
use ddrs_common::output::print;
use ddrs_common::spec::{self, Sweep};
use serde_json::json;

use crate::cli::{BenchArgs, OutputFormat};
use crate::engine::{Engine, Sample, Split};
use crate::exit::Refused;
use crate::model;

/// Certifies a few samples and prints where the time went.
///
/// # Errors
/// When the device, model or precision cannot be had.
pub fn bench(args: &BenchArgs) -> Result<()> {
    let architecture: Architecture = args.model.parse().map_err(|error| Refused(anyhow::anyhow!("{error}")))?;
    let (classes, side) = match architecture {
        Architecture::CifarResnet { .. } => (10, 32),
        _ => (1000, 224),
    };
    let dir = std::env::temp_dir().join(format!("ddrs-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).context("a temporary folder")?;
    let measured = model::random_weights(architecture, classes, 0, &dir.join("model.safetensors"))
        .and_then(|()| measure(args, &sweep(args, classes, &dir)?, side));
    std::fs::remove_dir_all(&dir).ok();
    let (engine, passes, seconds) = measured?;
    Ok(print(&describe(args, &engine, passes, seconds))?)
}

fn sweep(args: &BenchArgs, classes: u32, dir: &std::path::Path) -> Result<Sweep> {
    let text = format!(
        "name = \"bench\"\nseed = 1\n[dataset]\nformat = \"tensors\"\npath = \"none\"\n[[model]]\nname = \"bench\"\n\
         path = \"model.safetensors\"\narchitecture = \"{}\"\nclasses = {classes}\nprecision = \"{}\"\n\
         mean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n[smoothing]\nsigma = [0.25]\n[certify]\nn0 = 100\nn = {}\nalpha = 0.001\nchunk = {}\n",
        args.model, args.precision, args.n, args.batch
    );
    Ok(spec::parse(&text, &dir.join("bench.toml")).map_err(|error| Refused(error.into()))?)
}

fn measure(args: &BenchArgs, sweep: &Sweep, side: usize) -> Result<(Engine, u64, f64)> {
    let engine = Engine::new(&args.device).map_err(Refused)?;
    let shape = [3, side, side];
    let network = engine.load(&sweep.models[0], shape).map_err(Refused)?;
    let variant = &sweep.variants()[0];
    let mut samples = (0..args.samples).map(|index| {
        let pixels = (0..3 * side * side).map(|i| ((i as u64 * 7 + index * 13) % 256) as f32 / 255.0).collect();
        Sample { index: SampleIndex(index), position: index, image: Image { shape, pixels } }
    });
    let start = Instant::now();
    engine.certify(&network, variant, sweep, &mut samples, &AtomicBool::new(false), &|_, _, _| {})?;
    Ok((engine, args.samples * (args.n + sweep.certify.n0.get()), start.elapsed().as_secs_f64()))
}

fn describe(args: &BenchArgs, engine: &Engine, passes: u64, seconds: f64) -> String {
    let Split { noise, forward, count, .. } = engine.split();
    let lanes = engine.lanes() as f64 * seconds;
    let other = 1.0 - forward / lanes;
    let rate = passes as f64 / seconds;
    if args.format == OutputFormat::Json {
        let row = json!({
            "model": args.model, "precision": args.precision, "device": engine.device(), "batch": args.batch,
            "lanes": engine.lanes(), "passes": passes, "seconds": seconds, "passes_per_second": rate,
            "forward_share": forward / lanes, "noise_share": noise / lanes, "count_share": count / lanes,
            "not_forward_share": other,
        });
        return format!("{row}\n");
    }
    let percent = |share: f64| 100.0 * share / lanes;
    format!(
        "{} {} on {}, chunks of {}, {} lanes: {passes} passes in {seconds:.2} s, {rate:.0} passes/s\n\
         of the lanes' time: forward {:.1}%, noise {:.1}%, counting {:.1}%, all but forward {:.1}%\n",
        args.model,
        args.precision,
        engine.device(),
        args.batch,
        engine.lanes(),
        percent(forward),
        percent(noise),
        percent(count),
        100.0 * other
    )
}
