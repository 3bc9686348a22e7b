//! Networks that map a batch of images to class scores.
//!
//! In reading order:
//! - this file: the interface of a network, and loading one from a model file
//! - `file`, `weight_map`, `archive`: reading model files
//! - `arithmetic`, `normalisation`, `tensors`: what all networks share
//! - `forward`, `activation`, `tokens`: the order of a network's layers, and what has no weights
//! - `native`, `fused`, `bf16_emulation`: networks of known layers, fast on GPUs and CPUs
//! - `script`, `half_space`: TorchScript programs, and the linear model with a known radius
//! - `initial`, `random`, `synthetic`: networks with random weights, and images to run them on

mod activation;
mod archive;
mod arithmetic;
mod bf16_emulation;
mod file;
mod forward;
mod fused;
mod half_space;
mod initial;
mod native;
mod normalisation;
mod random;
mod script;
mod synthetic;
mod tensors;
mod tokens;
mod weight_map;

pub(crate) use activation::activate;
pub use bf16_emulation::emulates_bf16;
pub(crate) use bf16_emulation::operand;
pub use file::ModelFile;
pub(crate) use forward::{LayerPass, forward};
pub use fused::FusionCounts;
pub use initial::InitialValue;
pub use random::{centre, random_weights};
pub use synthetic::{noisy_images, noisy_pattern};
pub use tensors::is_finite;
pub(crate) use tensors::{channels_last, from_view, padded, square};
pub(crate) use tokens::tokens;

use anyhow::{Context, Result};
use ddrs_common::architecture::Architecture;
use ddrs_common::roots::Roots;
use ddrs_common::spec::{ModelSource, ModelSpec};
use tch::{Device, Kind, TchError, Tensor};

use arithmetic::Arithmetic;
use half_space::HalfSpaceNetwork;
use native::NativeNetwork;
use normalisation::Normalisation;
use script::ScriptNetwork;
use weight_map::WeightMap;

/// A network with frozen weights. Its scores are differentiable in the images.
pub trait Classifier: Send {
    /// Returns scores of shape (B, classes) for single-precision images of shape (B, channels,
    /// height, width).
    ///
    /// # Errors
    /// When torch fails, for instance because the images have the wrong shape.
    fn scores(&self, images: &Tensor) -> Result<Tensor, TchError>;

    /// Returns differentiable scores whose softmax are the probabilities of the classes, for the
    /// same images. They differ from [`Classifier::scores`] where the network returns
    /// probabilities.
    ///
    /// # Errors
    /// As for [`Classifier::scores`].
    fn logits(&self, images: &Tensor) -> Result<Tensor, TchError> {
        self.scores(images)
    }

    /// Returns scores for images that are already normalised and of the network's kind. These
    /// scores need not be differentiable.
    ///
    /// # Errors
    /// As for [`Classifier::scores`].
    fn prepared_scores(&self, images: &Tensor) -> Result<Tensor, TchError>;

    /// The kind of number that the network computes with.
    fn kind(&self) -> Kind;

    /// Counts the layers that run fused with the operations after them.
    fn fusion_counts(&self) -> FusionCounts {
        FusionCounts::default()
    }

    /// Returns the same network for another thread. The weights are not copied.
    fn share(&self) -> Box<dyn Classifier>;
}

/// Reads a model file from any folder and loads its network: see [`load_file`].
///
/// # Errors
/// When the file cannot be read or does not match the specification, or the device does not support
/// the precision.
pub fn load(spec: &ModelSpec, device: Device) -> Result<Box<dyn Classifier>> {
    load_file(spec, &ModelFile::read(spec, &Roots::anywhere())?, device)
}

/// Loads the network of a model file. No weight takes part in gradients.
///
/// # Errors
/// When the file does not match the specification, or the device does not support the precision.
/// The error names the file.
pub fn load_file(
    spec: &ModelSpec,
    file: &ModelFile,
    device: Device,
) -> Result<Box<dyn Classifier>> {
    build(spec, file.bytes(), device).with_context(|| file.path().display().to_string())
}

fn build(spec: &ModelSpec, bytes: &[u8], device: Device) -> Result<Box<dyn Classifier>> {
    let arithmetic = Arithmetic::new(spec.precision, device)?;
    let normalisation = Normalisation::new(spec, device);
    Ok(match spec.source {
        ModelSource::TorchScript => {
            let outputs = spec.options.outputs;
            Box::new(ScriptNetwork::load(
                bytes,
                arithmetic,
                normalisation,
                outputs,
            )?)
        }
        ModelSource::Safetensors(Architecture::HalfSpace) => {
            let weights = read_weights(spec, bytes)?;
            Box::new(HalfSpaceNetwork::load(
                &weights,
                arithmetic,
                &normalisation,
            )?)
        }
        ModelSource::Safetensors(architecture) => {
            let weights = read_weights(spec, bytes)?;
            Box::new(NativeNetwork::build(
                architecture,
                spec,
                &weights,
                arithmetic,
                normalisation,
            )?)
        }
    })
}

fn read_weights(spec: &ModelSpec, bytes: &[u8]) -> Result<WeightMap> {
    WeightMap::read(
        bytes,
        spec.wanted().context("a program has no named weights")?,
    )
}

#[cfg(test)]
mod tests;
