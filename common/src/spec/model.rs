//! A network as a specification describes it.

use std::path::PathBuf;

use crate::architecture::{Architecture, NetworkOptions, OptionKey, WantedNetwork};
use crate::domain::InvalidValue;

/// A network and the meaning of its scores.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// The first part of its variants' names.
    pub name: String,
    /// The weights, resolved against the specification's folder.
    pub path: PathBuf,
    /// The contents of the file.
    pub source: ModelSource,
    /// The part of the tensors' names in the file before the network's names, if several networks
    /// in it fit.
    pub weights: Option<String>,
    /// The number of classes.
    pub classes: u32,
    /// Subtracted from each channel after the noise is added.
    pub mean: Option<Vec<f64>>,
    /// Divides each channel after that.
    pub std: Option<Vec<f64>>,
    /// The arithmetic that is certified.
    pub precision: Precision,
    /// Choices between networks with the same tensors, and the meaning of the outputs.
    pub options: NetworkOptions,
}

impl ModelSpec {
    /// The network that the file must hold; `None` for a program.
    #[must_use]
    pub fn wanted(&self) -> Option<WantedNetwork<'_>> {
        let ModelSource::Safetensors(architecture) = self.source else {
            return None;
        };
        Some(WantedNetwork {
            architecture,
            classes: Some(self.classes),
            weights: self.weights.as_deref(),
        })
    }

    /// Checks that there is a mean for each channel of the images.
    ///
    /// # Errors
    /// When there is another number of them, in words.
    pub fn check_channels(&self, channels: usize) -> Result<(), InvalidValue> {
        match &self.mean {
            Some(mean) if mean.len() != channels => Err(InvalidValue(format!(
                "model {}: mean and std have {} values, the images have {channels} channels",
                self.name,
                mean.len()
            ))),
            _ => Ok(()),
        }
    }
}

/// The contents of a model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelSource {
    /// Weights by name, for a network that ddrs builds: safetensors, or a checkpoint of
    /// `torch.save`.
    Safetensors(Architecture),
    /// A TorchScript program.
    TorchScript,
}

impl ModelSource {
    /// The options that count where a specification gives none.
    #[must_use]
    pub fn usual_options(&self) -> NetworkOptions {
        match self {
            Self::Safetensors(architecture) => architecture.usual_options(),
            Self::TorchScript => NetworkOptions::default(),
        }
    }

    /// Returns true if the key makes a difference for this network.
    #[must_use]
    pub fn has_option(&self, key: OptionKey) -> bool {
        match self {
            Self::Safetensors(architecture) => architecture.has_option(key),
            Self::TorchScript => key == OptionKey::Outputs,
        }
    }
}

/// The arithmetic of a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// IEEE single precision.
    Fp32,
    /// Single precision with products rounded to ten bits of mantissa, on hardware that supports
    /// it.
    Tf32,
    /// bfloat16.
    Bf16,
    /// IEEE half precision.
    Fp16,
}

impl Precision {
    /// The word that specifications use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
        }
    }
}
