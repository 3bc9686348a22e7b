//! `bench script`: forward passes of a network that ddrs builds and of the TorchScript program of
//! the same network, in turn on one thread.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use ddrs_common::architecture::{Architecture, NetworkOptions};
use ddrs_common::cli::BadInput;
use ddrs_common::output::print;
use ddrs_common::spec::{ModelSource, ModelSpec, Precision};
use ddrs_worker::model::{self, Classifier};
use ddrs_worker::train::write_torchscript;
use tch::{Device, Kind, Tensor};

use super::median::median;
use crate::cli::ScriptArgs;
use crate::temporary::TemporaryFolder;

/// Turns, after one to warm up. The median counts.
const TURNS: usize = 7;
/// The images of a pass of CIFAR networks.
const SMALL_IMAGES: i64 = 64;
/// The images of a pass of others.
const PHOTOGRAPHS: i64 = 8;

/// Prints the passes per second of both, and their ratio, per model and precision.
///
/// # Errors
/// When a model does not exist, or a pass fails.
pub(super) fn bench_script(args: &ScriptArgs) -> Result<()> {
    tch::set_num_threads(1);
    let folder = TemporaryFolder::create("script")?;
    for model in &args.model {
        let architecture: Architecture = model.parse().map_err(BadInput::new)?;
        let files = NetworkFiles::write(architecture, folder.path())?;
        for precision in [Precision::Fp32, Precision::Bf16] {
            print(&files.load(precision)?.line(model, precision)?)?;
        }
    }
    Ok(())
}

/// The specifications of one network in both forms.
struct NetworkFiles {
    native: ModelSpec,
    program: ModelSpec,
    images: Tensor,
}

/// One network in both forms, and the images of a pass.
struct NetworkForms {
    native: Box<dyn Classifier>,
    program: Box<dyn Classifier>,
    images: Tensor,
}

impl NetworkFiles {
    fn write(architecture: Architecture, folder: &Path) -> Result<Self> {
        let (classes, side) = architecture.usual_size();
        let weights = folder.join(format!("{architecture}.safetensors"));
        let program = folder.join(format!("{architecture}.pt"));
        model::random_weights(architecture, classes, 0, &weights)?;
        let draws = if side > 32 { PHOTOGRAPHS } else { SMALL_IMAGES };
        let images = model::noisy_pattern(architecture, draws)?;
        write_torchscript(architecture, classes, &weights, &images, &program)?;
        let source = ModelSource::Safetensors(architecture);
        Ok(Self {
            native: specification(&weights, source, classes),
            program: specification(&program, ModelSource::TorchScript, classes),
            images,
        })
    }

    fn load(&self, precision: Precision) -> Result<NetworkForms> {
        let native = load(&self.native, precision)?;
        Ok(NetworkForms {
            images: self.images.f_to_kind(native.kind())?,
            native,
            program: load(&self.program, precision)?,
        })
    }
}

fn load(spec: &ModelSpec, precision: Precision) -> Result<Box<dyn Classifier>> {
    let spec = ModelSpec {
        precision,
        ..spec.clone()
    };
    model::load(&spec, Device::Cpu)
}

fn specification(path: &Path, source: ModelSource, classes: u32) -> ModelSpec {
    let options = match source {
        ModelSource::Safetensors(architecture) => architecture.usual_options(),
        ModelSource::TorchScript => NetworkOptions::default(),
    };
    ModelSpec {
        name: "script".to_owned(),
        path: path.to_owned(),
        source,
        weights: None,
        classes,
        mean: None,
        std: None,
        precision: Precision::Fp32,
        options,
    }
}

impl NetworkForms {
    fn line(&self, model: &str, precision: Precision) -> Result<String> {
        let difference = self.difference()?;
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..=TURNS {
            for (rates, network) in rates.iter_mut().zip([&self.native, &self.program]) {
                rates.push(self.rate(network.as_ref())?);
            }
        }
        let [native, program] = rates.map(|rates| median(&rates[1..]).unwrap_or(f64::NAN));
        let precision = precision.as_str();
        Ok(format!(
            "{model} {precision}: {native:.0} images/s, TorchScript {program:.0}, ratio {:.2}, \
             scores differ by {difference:.1e} of the largest",
            native / program
        ))
    }

    /// Returns the images per second of one turn.
    fn rate(&self, network: &dyn Classifier) -> Result<f64> {
        let start = Instant::now();
        let mut images = 0;
        while start.elapsed().as_secs_f64() < 0.5 {
            let _scores = self.scores(network)?;
            images += self.images.size()[0];
        }
        Ok(images as f64 / start.elapsed().as_secs_f64())
    }

    fn scores(&self, network: &dyn Classifier) -> Result<Tensor> {
        tch::no_grad(|| network.prepared_scores(&self.images)).context("a pass failed")
    }

    fn difference(&self) -> Result<f64> {
        let native = self.scores(self.native.as_ref())?;
        let program = self.scores(self.program.as_ref())?;
        let [native, program] = [native, program].map(|scores| scores.to_kind(Kind::Float));
        let largest = largest(&program)?;
        Ok(self::largest(&native.f_sub(&program)?)? / largest)
    }
}

fn largest(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.f_abs()?.f_max()?.f_double_value(&[])?)
}
