//! A training specification: TOML as written, and the checked [`Training`].
//!
//! It uses the same keys as a sweep for datasets, networks and the choice of sigma, and the same
//! errors.

mod check;
mod optimiser;
mod raw;
#[cfg(test)]
mod tests;

pub use optimiser::{Optimiser, Schedule};

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use super::document::Document;
use super::{DataDependentSpec, DatasetSpec, Precision, SpecError};
use crate::architecture::Architecture;
use crate::domain::{Sigma, VariantName};

/// The specification of training one network.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// The name that people use.
    pub name: String,
    /// The seed of weights, order, augmentation and noise.
    pub seed: u64,
    /// The training set.
    pub dataset: DatasetSpec,
    /// The number of its samples that are held out to choose the checkpoint.
    pub validation: u64,
    /// The network.
    pub model: TrainedModel,
    /// The function to minimise.
    pub loss: Loss,
    /// The records that teach a selector, one item per level; of the loss `selector` alone.
    pub levels: Option<Vec<LevelRecords>>,
    /// The noise.
    pub sigma: TrainingSigma,
    /// Passes over the training set.
    pub epochs: NonZeroU64,
    /// The number of inputs per step.
    pub batch: NonZeroU64,
    /// The number of inputs over which batch normalisation takes its statistics; it divides
    /// `batch`.
    pub group: NonZeroU64,
    /// Stochastic gradient descent.
    pub optimiser: Optimiser,
    /// The random changes to an input before the noise.
    pub augmentation: Augmentation,
}

/// The network to train. The model file that training writes contains these facts.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedModel {
    /// The network, one made of convolutions.
    pub architecture: Architecture,
    /// The number of classes.
    pub classes: u32,
    /// Subtracted from each channel after the noise is added.
    pub mean: Option<Vec<f64>>,
    /// Divides each channel after that.
    pub std: Option<Vec<f64>>,
    /// A model file with weights to start from; random weights without it.
    pub initial: Option<PathBuf>,
    /// The arithmetic of forward and backward passes, fp32 or bf16. Weights, their sums and the
    /// optimiser are fp32.
    pub precision: Precision,
}

/// The function to minimise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// Cross-entropy under Gaussian noise (Cohen et al. 2019).
    Gaussian,
    /// Cross-entropy under noise around an input that an attack on the smoothed classifier has
    /// moved (Salman et al. 2019, SmoothAdv-PGD).
    SmoothAdv {
        /// The number of noise draws, the same for the attack and the loss: the paper's m.
        draws: u32,
        /// The number of steps of the attack: the paper's T.
        steps: u32,
        /// The largest L2 distance of the attack, over pixels in \[0, 1\].
        epsilon: f64,
        /// The number of epochs over which epsilon grows to its value.
        warm_up: u64,
    },
    /// Cross-entropy of the smoothed probabilities and a hinge on the soft radius (Zhai et al.
    /// 2020).
    Macer {
        /// The number of noise draws: the paper's k.
        draws: u32,
        /// The inverse temperature of the softmax in the radius.
        beta: f64,
        /// The end of the hinge: a radius of sigma/2 · gamma costs nothing.
        gamma: f64,
        /// The weight of the hinge.
        lambda: f64,
    },
    /// Cross-entropy with each level, weighted by the radius that it gains over the worst level
    /// (after the cost-sensitive losses that Sun, Mao & Vechev 2025 train selectors with).
    Selector,
}

/// The records that say how far a level certifies the training images.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelRecords {
    /// The run folder.
    pub run: PathBuf,
    /// The variant that is the level.
    pub variant: VariantName,
}

/// The noise of training.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSigma {
    /// The sigma of every input at first.
    pub initial: Sigma,
    /// The way in which it changes.
    pub choice: TrainingChoice,
}

/// The way in which the sigma of an input changes during training.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainingChoice {
    /// It keeps its initial value.
    Fixed,
    /// Each input has a separate sigma, which is kept between epochs. Each use of the input moves
    /// it by some steps of ascent (Alfarra et al. 2022, Algorithm 1).
    DataDependent {
        /// The first epoch, from 0, in which sigmas move.
        from_epoch: u64,
        /// The ascent, with `iterations` steps per step of training.
        ascent: DataDependentSpec,
    },
}

/// The random changes to an input before the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Augmentation {
    /// The number of zeros added on each side before a window of the old size is cut at random.
    pub crop_padding: u32,
    /// True if half of the inputs are mirrored.
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
            Self::Selector => "selector",
        }
    }

    /// The number of noise draws per input.
    #[must_use]
    pub fn draws(self) -> u32 {
        match self {
            Self::Gaussian | Self::Selector => 1,
            Self::SmoothAdv { draws, .. } | Self::Macer { draws, .. } => draws,
        }
    }
}

impl Training {
    /// Parses and checks a training specification. Relative paths are resolved against the folder
    /// of `file`; no file is opened.
    ///
    /// # Errors
    /// The first mistake, with its line and key.
    pub fn parse(text: &str, file: &Path) -> Result<Self, SpecError> {
        let document = Document::parse(text, file)?;
        document.tables(raw::TABLES)?;
        let raw = document.read()?;
        check::training(&document, raw, file.parent().unwrap_or(Path::new("")))
    }
}
