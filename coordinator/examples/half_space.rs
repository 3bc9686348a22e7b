//! The half-space demo: inputs and a linear classifier, made from a seed, whose smoothed radii are
//! known.
//!
//! ```text
//! half_space generate DIR     writes inputs.safetensors, model.safetensors and sweep.toml
//! half_space compare  DIR     prints the true and certified radii of the run in DIR/run
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

/// A linear classifier: it answers 1 where w·x + b > 0.
struct LinearModel {
    weight: Vec<f32>,
    bias: f32,
}

/// Writes inputs scattered along the normal of the plane, one in ten with the wrong label.
fn generate(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let model = LinearModel::random(&mut rng);
    let mut pixels = Vec::new();
    let mut labels = Vec::new();
    for _ in 0..SAMPLES {
        let image = random_image(&model, &mut rng);
        labels.push(random_label(&model, &image, &mut rng));
        pixels.extend(image);
    }
    write_tensors(
        &dir.join("inputs.safetensors"),
        [SAMPLES, SHAPE[0], SHAPE[1], SHAPE[2]],
        &pixels,
        &labels,
    )?;
    model.write(&dir.join("model.safetensors"))?;
    fs::write(dir.join("sweep.toml"), SPEC)?;
    Ok(())
}

fn random_image(model: &LinearModel, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let along = rng.random_range(-1.5..1.5) / model.norm() as f32;
    let weights = model.weight.iter();
    weights
        .map(|w| (0.5 + rng.random_range(-0.1..0.1) + along * w).clamp(0.0, 1.0))
        .collect()
}

/// The class of an image, or in one case of ten the other class.
fn random_label(model: &LinearModel, image: &[f32], rng: &mut ChaCha8Rng) -> Class {
    let side = u32::from(model.score(image) > 0.0);
    Class(if rng.random_bool(0.1) { 1 - side } else { side })
}

impl LinearModel {
    fn random(rng: &mut ChaCha8Rng) -> Self {
        let size: usize = SHAPE.iter().product();
        let weight: Vec<f32> = (0..size).map(|_| rng.sample(StandardNormal)).collect();
        let bias = -0.5 * weight.iter().sum::<f32>();
        Self { weight, bias }
    }

    fn write(&self, path: &Path) -> Result<()> {
        let weight = bytes(&self.weight);
        let bias = bytes(&[self.bias]);
        let weight = TensorView::new(Dtype::F32, vec![self.weight.len()], &weight)?;
        let bias = TensorView::new(Dtype::F32, vec![1], &bias)?;
        let tensors = [("weight", weight), ("bias", bias)];
        Ok(safetensors::serialize_to_file(tensors, None, path)?)
    }

    fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path)?;
        let tensors = safetensors::SafeTensors::deserialize(&bytes)?;
        Ok(Self {
            weight: floats(tensors.tensor("weight")?.data()),
            bias: floats(tensors.tensor("bias")?.data())[0],
        })
    }

    fn score(&self, image: &[f32]) -> f64 {
        let products = self.weight.iter().zip(image);
        let sum: f64 = products.map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
        sum + f64::from(self.bias)
    }

    fn norm(&self) -> f64 {
        let squares = self.weight.iter().map(|&w| f64::from(w) * f64::from(w));
        squares.sum::<f64>().sqrt()
    }

    /// Returns the radius of the smoothed classifier, which is known exactly.
    fn true_radius(&self, image: &[f32]) -> f64 {
        self.score(image).abs() / self.norm()
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks();
    values
        .iter()
        .map(|&value| f32::from_le_bytes(value))
        .collect()
}

/// The records of a run by index and variant.
type Records = BTreeMap<(u64, String), Record>;

/// Prints the first inputs with their true and certified radii, and the number of certificates
/// that exceed the true radius.
fn compare(dir: &Path) -> Result<()> {
    let path = dir.join("sweep.toml");
    let sweep = spec::parse(&fs::read_to_string(&path)?, &path)?;
    let dataset = Dataset::open(&sweep.dataset)?;
    let model = LinearModel::read(&dir.join("model.safetensors"))?;
    let records = read_records(&dir.join("run/records.jsonl"))?;
    let variants = sweep.variants();
    let variants: Vec<String> = variants.iter().map(|v| v.name.to_string()).collect();
    print_header(&variants);
    let mut above = 0;
    for index in 0..dataset.len() {
        let image = dataset.image(SampleIndex(index))?;
        let truth = model.true_radius(&image.pixels);
        let radii = certified_radii(&records, index, &variants)?;
        above += radii.iter().filter(|&&radius| radius > truth).count();
        if index < PRINTED {
            print_radii(index, truth, &radii);
        }
    }
    let all = records.len();
    let alpha = sweep.certify.alpha;
    println!(
        "\n{above} of {all} certificates exceed the true radius \
         (each may, with probability {alpha})."
    );
    Ok(())
}

/// The number of inputs whose radii are printed.
const PRINTED: u64 = 12;

fn read_records(path: &Path) -> Result<Records> {
    let records = record_file::read(path)?.into_iter();
    Ok(records
        .map(|record| ((record.index.0, record.variant.to_string()), record))
        .collect())
}

fn certified_radii(records: &Records, index: u64, variants: &[String]) -> Result<Vec<f64>> {
    variants
        .iter()
        .map(|name| certified_radius(find(records, index, name)?))
        .collect()
}

fn find<'a>(records: &'a Records, index: u64, variant: &str) -> Result<&'a Record> {
    let record = records.get(&(index, variant.to_owned()));
    record.with_context(|| format!("no record of {variant} {index}"))
}

fn certified_radius(record: &Record) -> Result<f64> {
    match record.result.as_ref().map(|c| c.outcome) {
        Ok(Outcome::Certified { radius, .. }) => Ok(radius.get()),
        Ok(Outcome::Abstained) => Ok(0.0),
        Err(error) => bail!("{} {}: {error}", record.variant, record.index),
    }
}

fn print_header(variants: &[String]) {
    println!(
        "\nTrue and certified radii of the first inputs \
         (the smoothed radius of a half-space is known exactly):\n"
    );
    let names: Vec<String> = variants.iter().map(|n| format!("  {n:>30}")).collect();
    println!("{:>5}  {:>9}{}", "input", "true", names.concat());
}

fn print_radii(index: u64, truth: f64, radii: &[f64]) {
    // Cut, not rounded: a printed radius is never more than was certified.
    let cut = |radius: f64| (radius * 1e4).floor() / 1e4;
    let radii = radii.iter().map(|&radius| cut(radius));
    let radii: Vec<String> = radii.map(|radius| format!("  {radius:>30.4}")).collect();
    println!("{index:>5}  {truth:>9.4}{}", radii.concat());
}
