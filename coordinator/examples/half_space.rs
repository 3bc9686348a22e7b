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
use ddrs_common::record_file;
use ddrs_common::spec::{self, Sweep};
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
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(&arguments)
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
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
    let inputs = Inputs::random(&model, &mut rng);
    inputs.write(&dir.join("inputs.safetensors"))?;
    model.write(&dir.join("model.safetensors"))?;
    fs::write(dir.join("sweep.toml"), SPEC)?;
    Ok(())
}

/// Images with their labels.
#[derive(Default)]
struct Inputs {
    pixels: Vec<f32>,
    labels: Vec<Class>,
}

impl Inputs {
    fn random(model: &LinearModel, rng: &mut ChaCha8Rng) -> Self {
        let mut inputs = Self::default();
        for _ in 0..SAMPLES {
            let image = random_image(model, rng);
            inputs.labels.push(random_label(model, &image, rng));
            inputs.pixels.extend(image);
        }
        inputs
    }

    fn write(&self, path: &Path) -> Result<()> {
        let [channels, height, width] = SHAPE;
        let shape = [SAMPLES, channels, height, width];
        write_tensors(path, shape, &self.pixels, &self.labels)?;
        Ok(())
    }
}

fn random_image(model: &LinearModel, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let along = rng.random_range(-1.5..1.5) / model.norm() as f32;
    let weights = model.weight.iter();
    weights.map(|w| random_pixel(along * w, rng)).collect()
}

/// Draws a byte divided by 255, as an image file holds it.
fn random_pixel(shift: f32, rng: &mut ChaCha8Rng) -> f32 {
    let value = (0.5 + rng.random_range(-0.1..0.1) + shift).clamp(0.0, 1.0);
    (value * 255.0).round() / 255.0
}

/// The class of an image, or in one case of ten the other class.
fn random_label(model: &LinearModel, image: &[f32], rng: &mut ChaCha8Rng) -> Class {
    let side = u32::from(model.score(image) > 0.0);
    Class(if rng.random_bool(0.1) { 1 - side } else { side })
}

impl LinearModel {
    fn random(rng: &mut ChaCha8Rng) -> Self {
        let weight = random_weight(rng);
        let bias = -0.5 * weight.iter().sum::<f32>();
        Self { weight, bias }
    }

    fn write(&self, path: &Path) -> Result<()> {
        let weight = bytes(&self.weight);
        let bias = bytes(&[self.bias]);
        let tensors = [("weight", vector(&weight)?), ("bias", vector(&bias)?)];
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
        dot(&self.weight, image) + f64::from(self.bias)
    }

    fn norm(&self) -> f64 {
        dot(&self.weight, &self.weight).sqrt()
    }

    /// Returns the radius of the smoothed classifier, which is known exactly.
    fn true_radius(&self, image: &[f32]) -> f64 {
        self.score(image).abs() / self.norm()
    }
}

fn random_weight(rng: &mut ChaCha8Rng) -> Vec<f32> {
    let size: usize = SHAPE.iter().product();
    (0..size).map(|_| rng.sample(StandardNormal)).collect()
}

fn dot(one: &[f32], other: &[f32]) -> f64 {
    let pairs = one.iter().zip(other);
    pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Returns a tensor with one axis of float32 numbers.
fn vector(bytes: &[u8]) -> Result<TensorView<'_>> {
    let count = bytes.len() / size_of::<f32>();
    Ok(TensorView::new(Dtype::F32, vec![count], bytes)?)
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
    let run = FinishedRun::open(dir)?;
    print_header(&run.variants);
    let mut above = 0;
    for index in 0..run.dataset.len() {
        above += run.compare_input(index)?;
    }
    run.print_summary(above);
    Ok(())
}

/// The number of inputs whose radii are printed.
const PRINTED: u64 = 12;

/// The inputs and the model of the demo, with the records of its run.
struct FinishedRun {
    sweep: Sweep,
    dataset: Dataset,
    model: LinearModel,
    records: Records,
    variants: Vec<String>,
}

impl FinishedRun {
    fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("sweep.toml");
        let sweep = spec::parse(&fs::read_to_string(&path)?, &path)?;
        Ok(Self {
            dataset: Dataset::open(&sweep.dataset)?,
            model: LinearModel::read(&dir.join("model.safetensors"))?,
            records: read_records(&dir.join("run/records.jsonl"))?,
            variants: variant_names(&sweep),
            sweep,
        })
    }

    /// Returns the number of certificates of an input that exceed its true radius. Prints the
    /// radii of the first inputs.
    fn compare_input(&self, index: u64) -> Result<usize> {
        let truth = self.true_radius(index)?;
        let radii = self.certified_radii(index)?;
        if index < PRINTED {
            print_radii(index, truth, &radii);
        }
        Ok(radii.iter().filter(|&&radius| radius > truth).count())
    }

    fn true_radius(&self, index: u64) -> Result<f64> {
        let image = self.dataset.image(SampleIndex(index))?;
        Ok(self.model.true_radius(&image.pixels))
    }

    fn certified_radii(&self, index: u64) -> Result<Vec<f64>> {
        let variants = self.variants.iter();
        variants
            .map(|name| certified_radius(self.record(index, name)?))
            .collect()
    }

    fn record(&self, index: u64, variant: &str) -> Result<&Record> {
        let record = self.records.get(&(index, variant.to_owned()));
        record.with_context(|| format!("no record of {variant} {index}"))
    }

    fn print_summary(&self, above: usize) {
        let all = self.records.len();
        let alpha = self.sweep.certify.alpha;
        println!(
            "\n{above} of {all} certificates exceed the true radius \
             (each may, with probability {alpha})."
        );
    }
}

fn variant_names(sweep: &Sweep) -> Vec<String> {
    let variants = sweep.variants();
    variants.iter().map(|v| v.name.to_string()).collect()
}

fn read_records(path: &Path) -> Result<Records> {
    let records = record_file::read(path)?.into_iter();
    Ok(records
        .map(|record| ((record.index.0, record.variant.to_string()), record))
        .collect())
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
    let names: String = variants.iter().map(|name| heading(name)).collect();
    println!("{:>5}  {:>9}{names}", "input", "true");
}

fn heading(variant: &str) -> String {
    format!("  {variant:>30}")
}

fn print_radii(index: u64, truth: f64, radii: &[f64]) {
    let columns: String = radii.iter().map(|&radius| column(radius)).collect();
    println!("{index:>5}  {truth:>9.4}{columns}");
}

fn column(radius: f64) -> String {
    format!("  {:>30.4}", cut(radius))
}

/// Cuts a radius after four decimals. A printed radius is never more than was certified.
fn cut(radius: f64) -> f64 {
    (radius * 1e4).floor() / 1e4
}
