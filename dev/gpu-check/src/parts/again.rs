//! The same sample, certified by two processes under both choices of sigma: the records must be
//! equal.
//!
//! Within one process the part `compare` sends the same images through twice and compares bits.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ddrs_common::data::write_tensors;
use ddrs_common::domain::Class;
use serde_json::Value;

use crate::setup::Setup;
use crate::step::{CheckStep, StepFiles};

/// Channels, height and width of the images.
const SHAPE: [usize; 3] = [3, 32, 32];
/// Number of images.
const IMAGES: usize = 2;

/// The numbers of a sweep.
#[derive(Debug, Clone, Copy)]
struct SweepSize {
    n: u64,
    iterations: u32,
    draws: u32,
}

const FULL: SweepSize = SweepSize {
    n: 10_000,
    iterations: 50,
    draws: 8,
};
const QUICK: SweepSize = SweepSize {
    n: 200,
    iterations: 3,
    draws: 2,
};

/// Returns the precisions of a device.
pub(crate) fn precisions(setup: &Setup) -> &'static [&'static str] {
    if setup.args.is_cpu() {
        &["fp32", "bf16"]
    } else {
        &["fp32", "tf32", "bf16", "fp16"]
    }
}

/// Returns one step per precision.
pub(crate) fn steps<'a>(setup: &'a Setup) -> Vec<CheckStep<'a>> {
    let precisions = precisions(setup).iter();
    precisions.map(|precision| step(setup, precision)).collect()
}

fn step<'a>(setup: &'a Setup, precision: &'static str) -> CheckStep<'a> {
    let size = if setup.args.quick { QUICK } else { FULL };
    CheckStep::new(format!("again-{precision}"), 120, move |files| {
        certify_twice(setup, files, &specification(precision, size))
    })
}

fn certify_twice(setup: &Setup, files: &StepFiles, specification: &str) -> Result<()> {
    write_inputs(setup, files, specification)?;
    let first = certify(setup, files)?;
    let second = certify(setup, files)?;
    check_records(&first)?;
    ensure!(first == second, "the second process wrote other records");
    Ok(())
}

fn write_inputs(setup: &Setup, files: &StepFiles, specification: &str) -> Result<()> {
    write_model(setup, files)?;
    write_images(&files.path("data.safetensors"))?;
    Ok(fs::write(files.path("sweep.toml"), specification)?)
}

fn write_model(setup: &Setup, files: &StepFiles) -> Result<()> {
    let random = ["random-weights", "cifar-resnet20", "--centred", "--out"];
    let mut command = setup.programs.dev(&random);
    command.arg(files.path("model.safetensors"));
    files.run(command)
}

fn write_images(path: &Path) -> Result<()> {
    let images: Vec<f32> = (0..IMAGES).flat_map(pixels).collect();
    let [channels, height, width] = SHAPE;
    let shape = [IMAGES, channels, height, width];
    Ok(write_tensors(path, shape, &images, &[0, 1].map(Class))?)
}

fn pixels(image: usize) -> impl Iterator<Item = f32> {
    let places = 0..SHAPE.iter().product();
    places.map(move |place: usize| (((place * 7 + image * 131) % 256) as f64 / 255.0) as f32)
}

/// Certifies the first image, prints the records and returns them. They are compared without
/// their seconds.
fn certify(setup: &Setup, files: &StepFiles) -> Result<Vec<Value>> {
    let mut command = setup.worker(&["certify", "--index", "0"]);
    command.arg(files.path("sweep.toml"));
    let printed = files.printed(command)?;
    let records: Vec<Value> = printed.lines().map(record).collect::<Result<_>>()?;
    print_records(files, &records)?;
    Ok(records)
}

fn print_records(files: &StepFiles, records: &[Value]) -> Result<()> {
    for record in records {
        files.print(&format!("{record}\n"))?;
    }
    Ok(())
}

fn record(line: &str) -> Result<Value> {
    let mut record: Value = serde_json::from_str(line).context("a record")?;
    if let Some(fields) = record.as_object_mut() {
        fields.remove("seconds");
    }
    Ok(record)
}

fn check_records(records: &[Value]) -> Result<()> {
    if records.len() != 2 {
        bail!("expected one record per choice of sigma");
    }
    if let Some(failed) = records.iter().find(|record| record.get("error").is_some()) {
        bail!("a sample failed: {failed}");
    }
    Ok(())
}

fn specification(precision: &str, size: SweepSize) -> String {
    let SweepSize {
        n,
        iterations,
        draws,
    } = size;
    format!(
        r#"name = "again"
seed = 1
[dataset]
format = "tensors"
path = "data.safetensors"
[[model]]
name = "m"
path = "model.safetensors"
architecture = "cifar-resnet20"
classes = 10
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
precision = "{precision}"
[smoothing]
sigma = [0.5]
choice = ["fixed", "data-dependent"]
[smoothing.data-dependent]
iterations = {iterations}
draws = {draws}
learning-rate = 0.01
[certify]
n0 = 100
n = {n}
alpha = 0.001
"#
    )
}
