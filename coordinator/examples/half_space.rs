//! The half-space demo: inputs and a linear classifier made from a seed, whose true smoothed radii
//! are known.
//!
//! ```text
//! half_space generate DIR     writes inputs.safetensors, model.safetensors and sweep.toml
//! half_space compare  DIR     prints true beside certified radii of the run in DIR/run
//! ```
//!
//! The classifier answers 1 where w·x + b > 0. Under Gaussian noise of any sigma its smoothed
//! version answers the same and keeps its answer up to exactly |w·x + b| / |w| (Cohen et al. 2019,
//! Proposition 1 for a linear classifier).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use ddrs_common::data::{Dataset, write_tensors};
use ddrs_common::domain::{Class, Outcome, Record, SampleIndex};
use ddrs_common::{record_file, spec};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use safetensors::tensor::{Dtype, TensorView};

const SHAPE: [usize; 3] = [3, 8, 8];
const SAMPLES: usize = 100;
const SEED: u64 = 20_220_801;

const SPEC: &str = r#"# Made by `make demo`: the analytic classifier, whose true radii are known.
name = "half-space"
seed = 1

[dataset]
format = "tensors"
path = "inputs.safetensors"

[[model]]
name = "half-space"
path = "model.safetensors"
architecture = "half-space"
classes = 2

[smoothing]
sigma = [0.25, 0.5]
choice = ["fixed", "data-dependent"]

[smoothing.data-dependent]
iterations = 50
draws = 16
learning-rate = 0.02

[certify]
n0 = 100
n = 10_000
alpha = 0.001

[report]
radii = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5]
"#;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["generate", dir] => generate(dir.as_ref()),
        ["compare", dir] => compare(dir.as_ref()),
        _ => bail!("usage: half_space generate|compare DIR"),
    }
}

/// Inputs scattered along the normal of the plane, one in ten with the wrong label.
fn generate(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let size: usize = SHAPE.iter().product();
    let weight: Vec<f32> = (0..size).map(|_| rng.sample(StandardNormal)).collect();
    let norm = norm(&weight);
    let bias = -0.5 * weight.iter().sum::<f32>();
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        let along = rng.random_range(-1.5..1.5) / norm as f32;
        let image: Vec<f32> = weight
            .iter()
            .map(|w| (0.5 + rng.random_range(-0.1..0.1) + along * w).clamp(0.0, 1.0))
            .collect();
        let side = u32::from(score(&weight, bias, &image) > 0.0);
        labels.push(Class(if rng.random_bool(0.1) { 1 - side } else { side }));
        pixels.extend(image);
    }
    write_tensors(
        &dir.join("inputs.safetensors"),
        [SAMPLES, SHAPE[0], SHAPE[1], SHAPE[2]],
        &pixels,
        &labels,
    )?;
    write_model(&dir.join("model.safetensors"), &weight, bias)?;
    fs::write(dir.join("sweep.toml"), SPEC)?;
    Ok(())
}

fn write_model(path: &Path, weight: &[f32], bias: f32) -> Result<()> {
    let bytes =
        |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let (weights, biases) = (bytes(weight), bytes(&[bias]));
    let tensors = [
        (
            "weight",
            TensorView::new(Dtype::F32, vec![weight.len()], &weights)?,
        ),
        ("bias", TensorView::new(Dtype::F32, vec![1], &biases)?),
    ];
    Ok(safetensors::serialize_to_file(tensors, None, path)?)
}

/// Prints the first inputs with their true and certified radii, and how often a certificate claims
/// too much.
fn compare(dir: &Path) -> Result<()> {
    let path = dir.join("sweep.toml");
    let sweep = spec::parse(&fs::read_to_string(&path)?, &path)?;
    let dataset = Dataset::open(&sweep.dataset)?;
    let (weight, bias) = read_model(&dir.join("model.safetensors"))?;
    let mut certified: BTreeMap<(u64, String), Record> = BTreeMap::new();
    for record in record_file::read(&dir.join("run/records.jsonl"))? {
        certified.insert((record.index.0, record.variant.to_string()), record);
    }
    let variants: Vec<String> = sweep
        .variants()
        .iter()
        .map(|variant| variant.name.to_string())
        .collect();

    println!(
        "\nTrue and certified radii of the first inputs (the smoothed radius of a half-space is known exactly):\n"
    );
    print!("{:>5}  {:>9}", "input", "true");
    for name in &variants {
        print!("  {name:>30}");
    }
    println!();
    let mut above = 0;
    for index in 0..dataset.len() {
        let image = dataset.image(SampleIndex(index))?;
        let truth = score(&weight, bias, &image.pixels).abs() / norm(&weight);
        let mut line = format!("{index:>5}  {truth:>9.4}");
        for name in &variants {
            let record = certified
                .get(&(index, name.clone()))
                .with_context(|| format!("no record of {name} {index}"))?;
            let radius = match record.result.as_ref().map(|c| c.outcome) {
                Ok(Outcome::Certified { radius, .. }) => radius.get(),
                Ok(Outcome::Abstained) => 0.0,
                Err(error) => bail!("{name} {index}: {error}"),
            };
            above += usize::from(radius > truth);
            // Cut, not rounded: a printed radius is never more than was certified.
            line += &format!("  {:>30.4}", (radius * 1e4).floor() / 1e4);
        }
        if index < 12 {
            println!("{line}");
        }
    }
    let all = certified.len();
    println!(
        "\n{above} of {all} certificates exceed the true radius (each may, with probability {}).",
        sweep.certify.alpha
    );
    Ok(())
}

fn read_model(path: &Path) -> Result<(Vec<f32>, f32)> {
    let bytes = fs::read(path)?;
    let tensors = safetensors::SafeTensors::deserialize(&bytes)?;
    let values = |name| -> Result<Vec<f32>> {
        let data = tensors.tensor(name)?;
        Ok(data
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect())
    };
    Ok((values("weight")?, values("bias")?[0]))
}

fn score(weight: &[f32], bias: f32, image: &[f32]) -> f64 {
    weight
        .iter()
        .zip(image)
        .map(|(&w, &x)| f64::from(w) * f64::from(x))
        .sum::<f64>()
        + f64::from(bias)
}

fn norm(weight: &[f32]) -> f64 {
    weight
        .iter()
        .map(|&w| f64::from(w) * f64::from(w))
        .sum::<f64>()
        .sqrt()
}
