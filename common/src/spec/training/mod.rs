//! A training specification: TOML as written, and the checked [`Training`].
//!
//! It stands beside a sweep's: the same words for datasets, networks and the choice of sigma, and
//! the same errors.

mod check;
mod optimiser;
mod raw;
#[cfg(test)]
mod tests;

pub use optimiser::{Optimiser, Schedule};

use std::num::NonZeroU64;
use std::path::Path;

use super::document::Document;
use super::{DataDependentSpec, DatasetSpec, Precision, SpecError};
use crate::architecture::Architecture;
use crate::domain::Sigma;

/// How to train one network.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// What people call it.
    pub name: String,
    /// Weights, order, augmentation and noise derive from it.
    pub seed: u64,
    /// The training set.
    pub dataset: DatasetSpec,
    /// How many of its samples are kept back to choose the checkpoint by.
    pub validation: u64,
    /// The network.
    pub model: TrainedModel,
    /// What is minimised.
    pub loss: Loss,
    /// The noise.
    pub sigma: TrainingSigma,
    /// Passes over the training set.
    pub epochs: NonZeroU64,
    /// Inputs to a step.
    pub batch: NonZeroU64,
    /// Inputs over which batch normalisation takes its statistics; divides `batch`.
    pub group: NonZeroU64,
    /// Stochastic gradient descent.
    pub optimiser: Optimiser,
    /// What is done to an input before the noise.
    pub augmentation: Augmentation,
}

/// The network to train; the file that comes of it carries all of this.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedModel {
    /// Which network: one made of convolutions.
    pub architecture: Architecture,
    /// How many classes it tells apart.
    pub classes: u32,
    /// Subtracted from each channel after the noise is added.
    pub mean: Option<Vec<f64>>,
    /// Divides each channel after that.
    pub std: Option<Vec<f64>>,
    /// The arithmetic of forward and backward passes, fp32 or bf16. Weights, their sums and the
    /// optimiser are fp32.
    pub precision: Precision,
}

/// What is minimised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// Cross-entropy under Gaussian noise (Cohen et al. 2019).
    Gaussian,
    /// Cross-entropy under noise around an input that an attack on the smoothed classifier has
    /// moved (Salman et al. 2019, SmoothAdv-PGD).
    SmoothAdv {
        /// Noise draws, the same for the attack and the loss: the paper's m.
        draws: u32,
        /// Steps of the attack: the paper's T.
        steps: u32,
        /// How far the attack may move an input, in L2 over pixels in \[0, 1\].
        epsilon: f64,
        /// Epochs over which epsilon grows to its value.
        warm_up: u64,
    },
    /// Cross-entropy of the smoothed probabilities and a hinge on the soft radius (Zhai et al.
    /// 2020).
    Macer {
        /// Noise draws: the paper's k.
        draws: u32,
        /// The inverse temperature of the softmax in the radius.
        beta: f64,
        /// Where the hinge ends: a radius of sigma/2 · gamma costs nothing.
        gamma: f64,
        /// The weight of the hinge.
        lambda: f64,
    },
}

/// The noise of training.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSigma {
    /// Every input's sigma at first.
    pub initial: Sigma,
    /// What becomes of it.
    pub choice: TrainingChoice,
}

/// Whether inputs have sigmas of their own.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainingChoice {
    /// The initial one for every input, always.
    Fixed,
    /// Each input carries its own from epoch to epoch, and takes some steps of ascent each time it
    /// is seen (Alfarra et al. 2022, Algorithm 1).
    DataDependent {
        /// The first epoch, from 0, in which sigmas move.
        from_epoch: u64,
        /// The ascent; `iterations` to a step of training.
        ascent: DataDependentSpec,
    },
}

/// What is done to an input before the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Augmentation {
    /// Zeros put on each side before a window of the old size is cut at random; 0: none.
    pub crop_padding: u32,
    /// Whether half of the inputs are mirrored.
    pub flip: bool,
}

impl Loss {
    /// The word that specifications use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gaussian => "gaussian",
            Self::SmoothAdv { .. } => "smoothadv",
            Self::Macer { .. } => "macer",
        }
    }

    /// Noise draws to an input.
    #[must_use]
    pub fn draws(self) -> u32 {
        match self {
            Self::Gaussian => 1,
            Self::SmoothAdv { draws, .. } | Self::Macer { draws, .. } => draws,
        }
    }
}

impl Training {
    /// Parses and checks a training specification. Relative paths are resolved against the folder
    /// of `file`; no file is opened.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line and key.
    pub fn parse(text: &str, file: &Path) -> Result<Self, SpecError> {
        let document = Document::parse(text, file)?;
        document.tables(raw::TABLES)?;
        let raw = document.read()?;
        check::training(&document, raw, file.parent().unwrap_or(Path::new("")))
    }
}
