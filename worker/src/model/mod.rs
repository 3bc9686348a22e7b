//! Networks: what maps a batch of images to class scores.

mod archive;
mod file;
mod fused;
mod half_space;
mod random;
mod resnet;
mod script;
mod weights;
mod wide;

pub use file::ModelFile;
pub use fused::{Paths, is_finite};
pub use half_space::HalfSpace;
pub use random::{centre, random_weights};
pub use random::{noisy_images, noisy_pattern, usual_size};
pub use resnet::Resnet;
pub use script::Script;
pub use weights::Weights;
pub use wide::wide;

use anyhow::{Context, Result, bail};
use ddrs_common::architecture::Architecture;
use ddrs_common::roots::Roots;
use ddrs_common::spec::{ModelSource, ModelSpec, Precision};
use tch::{Device, Kind, TchError, Tensor};

/// A network. Weights are frozen; scores are differentiable in the images.
pub trait Classifier: Send {
    /// Scores of shape (B, classes) for images of shape (B, channels, height, width) in single
    /// precision.
    ///
    /// # Errors
    /// What torch reports.
    fn scores(&self, images: &Tensor) -> Result<Tensor, TchError>;

    /// The same for images that are normalised and of the network's kind already; perhaps not
    /// differentiable.
    ///
    /// # Errors
    /// What torch reports.
    fn prepared_scores(&self, images: &Tensor) -> Result<Tensor, TchError>;

    /// The kind of number that it computes with.
    fn kind(&self) -> Kind;

    /// Which of its layers run fused with what follows them.
    fn paths(&self) -> Paths {
        Paths::default()
    }

    /// The same network over the same weights, for another thread: nothing is copied.
    fn share(&self) -> Box<dyn Classifier>;
}

/// Reads a model file, wherever it lies, and loads its network: see [`load_file`].
///
/// # Errors
/// When the file cannot be read or is not what the specification says, or the device does not have
/// the precision.
pub fn load(spec: &ModelSpec, device: Device) -> Result<Box<dyn Classifier>> {
    load_file(spec, &ModelFile::read(spec, &Roots::anywhere())?, device)
}

/// Loads the network of a model file, without a gradient on any weight.
///
/// # Errors
/// When the file is not what the specification says, or the device does not have the precision;
/// names the file.
pub fn load_file(
    spec: &ModelSpec,
    file: &ModelFile,
    device: Device,
) -> Result<Box<dyn Classifier>> {
    let open = || -> Result<Box<dyn Classifier>> {
        let arithmetic = Arithmetic::new(spec.precision, device)?;
        let normalisation = Normalisation::new(spec, device);
        Ok(match spec.source {
            ModelSource::TorchScript => {
                Box::new(Script::load(file.bytes(), arithmetic, normalisation)?)
            }
            ModelSource::Safetensors(Architecture::HalfSpace) => {
                Box::new(HalfSpace::load(file.bytes(), arithmetic, &normalisation)?)
            }
            ModelSource::Safetensors(architecture) => {
                let weights = Weights::read(file.bytes())?;
                Box::new(Resnet::build(
                    architecture,
                    &weights,
                    arithmetic,
                    normalisation,
                )?)
            }
        })
    };
    open().with_context(|| file.path().display().to_string())
}

/// What torch says of an error, without the C++ stack that follows.
pub fn brief(error: TchError) -> anyhow::Error {
    let text = match error {
        TchError::Torch(text) => text,
        other => other.to_string(),
    };
    anyhow::anyhow!(
        "torch: {}",
        text.lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("no reason given")
            .trim()
    )
}

/// Where and in what kind of number a network computes.
#[derive(Debug, Clone, Copy)]
pub struct Arithmetic {
    device: Device,
    kind: Kind,
    /// Whether convolutions on a GPU may round to tf32, as torch lets them unless it is told not
    /// to.
    tf32: bool,
    /// Whether convolutions are computed in single precision, between numbers of `kind`: see
    /// [`wide`].
    wide: bool,
}

impl Arithmetic {
    fn new(precision: Precision, device: Device) -> Result<Self> {
        let kind = match precision {
            Precision::Fp32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
            Precision::Fp16 => Kind::Half,
            Precision::Tf32 if device.is_cuda() => Kind::Float,
            Precision::Tf32 => {
                bail!("precision tf32 is a mode of NVIDIA GPUs; this device is the cpu")
            }
        };
        if device.is_cuda() {
            overridden(precision, |name| std::env::var(name).ok())?;
        }
        Ok(Self {
            device,
            kind,
            tf32: precision == Precision::Tf32,
            wide: wide(kind, device),
        })
    }

    /// A weight as the network computes with it.
    fn take(self, tensor: &Tensor) -> Result<Tensor, TchError> {
        tensor.f_to_kind(self.kind)?.f_to(self.device)
    }
}

/// Refuses a precision that the environment would turn into another one behind torch's back.
fn overridden(precision: Precision, variable: impl Fn(&str) -> Option<String>) -> Result<()> {
    let (name, expected) = match precision {
        Precision::Fp32 => ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "0"),
        Precision::Tf32 => ("NVIDIA_TF32_OVERRIDE", "1"),
        Precision::Bf16 | Precision::Fp16 => return Ok(()),
    };
    match variable(name) {
        Some(value) if value != expected => {
            bail!(
                "{name} is {value:?} in the worker's environment: precision {} would be another; unset it",
                precision.as_str()
            )
        }
        _ => Ok(()),
    }
}

/// `(x - mean) / std`, channel by channel, in single precision, after the noise.
#[derive(Debug)]
pub struct Normalisation(Option<(Tensor, Tensor)>);

impl Normalisation {
    fn new(spec: &ModelSpec, device: Device) -> Self {
        let channels = |values: &Vec<f64>| {
            let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
            Tensor::from_slice(&values).view([1, -1, 1, 1]).to(device)
        };
        Self(
            spec.mean
                .as_ref()
                .zip(spec.std.as_ref())
                .map(|(mean, std)| (channels(mean), channels(std))),
        )
    }

    fn share(&self) -> Self {
        Self(
            self.0
                .as_ref()
                .map(|(mean, std)| (mean.shallow_clone(), std.shallow_clone())),
        )
    }

    fn apply(&self, images: &Tensor) -> Result<Tensor, TchError> {
        match &self.0 {
            Some((mean, std)) => images.f_sub(mean)?.f_div(std),
            None => Ok(images.shallow_clone()),
        }
    }
}

#[cfg(test)]
mod tests;
