//! A loaded model, ready for every lane.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use ddrs_common::data::Image;
use ddrs_common::roots::Roots;
use ddrs_common::spec::ModelSpec;
use tch::{Device, Kind, TchError, Tensor};

use super::Engine;
use crate::model::{self, Classifier, ModelFile};

/// A network and the shape of its images.
pub struct LoadedNetwork {
    /// A handle for each lane on the same weights, since a tensor's handle may move between threads
    /// but not be shared.
    copies: Vec<Mutex<Box<dyn Classifier>>>,
    shape: [usize; 3],
    classes: u32,
    kind: Kind,
    normalisation: Vec<(f64, f64)>,
    /// What tells it from every other: the file, what is made of it, and the shape of its images.
    identity: String,
}

impl Engine {
    /// Reads a model file, wherever it lies, and loads it: see [`Self::load_file`].
    ///
    /// # Errors
    /// As [`Self::load_file`], and when the file cannot be read.
    pub fn load(&self, spec: &ModelSpec, shape: [usize; 3]) -> Result<LoadedNetwork> {
        self.load_file(spec, &ModelFile::read(spec, &Roots::anywhere())?, shape)
    }

    /// Loads a model and sends an empty image of `shape` through it.
    ///
    /// # Errors
    /// When the file is not what the specification says, the device lacks the precision, or the
    /// scores are not as many finite numbers as there are classes.
    pub fn load_file(
        &self,
        spec: &ModelSpec,
        file: &ModelFile,
        shape: [usize; 3],
    ) -> Result<LoadedNetwork> {
        let first = model::load_file(spec, file, self.device)?;
        let first_kind = first.kind();
        let others: Vec<_> = (1..self.threads()).map(|_| first.share()).collect();
        let copies = std::iter::once(first)
            .chain(others)
            .map(Mutex::new)
            .collect();
        let (kind, normalisation) = (first_kind, normalisation(spec, shape[0]));
        let identity = format!(
            "{} {:?} {:?} {shape:?}",
            file.digest(),
            spec.source,
            spec.precision
        );
        let network = LoadedNetwork {
            copies,
            shape,
            classes: spec.classes,
            kind,
            normalisation,
            identity,
        };
        self.lanes
            .install(|| network.try_out(self.device))
            .with_context(|| spec.path.display().to_string())?;
        Ok(network)
    }
}

impl LoadedNetwork {
    /// How many classes it tells apart.
    #[must_use]
    pub fn classes(&self) -> u32 {
        self.classes
    }

    /// Channels, height and width of its images.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Whether it takes an image of this shape; says why not.
    ///
    /// # Errors
    /// The two shapes.
    pub fn admits(&self, image: &Image) -> Result<(), String> {
        if image.shape == self.shape {
            return Ok(());
        }
        Err(format!(
            "the image has shape {:?}, the first of the sweep {:?}",
            image.shape, self.shape
        ))
    }

    /// The kind of number that it computes with.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// What is subtracted from each channel, and what then divides it.
    pub(super) fn normalisation(&self) -> &[(f64, f64)] {
        &self.normalisation
    }

    /// Scores of images that are normalised and of this network's kind, by this lane's copy.
    ///
    /// # Errors
    /// What torch reports.
    pub(super) fn scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        self.with_copy(|copy| copy.prepared_scores(images))
    }

    /// Scores of images in \[0, 1\], differentiable in them, by this lane's copy.
    ///
    /// # Errors
    /// What torch reports.
    pub(super) fn differentiable_scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        self.with_copy(|copy| copy.scores(images))
    }

    /// What tells it from every other network.
    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    fn with_copy<T>(&self, work: impl FnOnce(&dyn Classifier) -> T) -> T {
        let lane = rayon::current_thread_index().unwrap_or(0) % self.copies.len();
        // A lane that panicked is gone with the process; what it held is not half written, for
        // weights never change.
        let copy = self.copies[lane]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        work(copy.as_ref())
    }

    fn try_out(&self, device: Device) -> Result<()> {
        let [channels, height, width] = self.shape.map(|side| side as i64);
        let scores = tch::no_grad(|| {
            self.differentiable_scores(&Tensor::zeros(
                [1, channels, height, width],
                (Kind::Float, device),
            ))
        })
        .map_err(model::brief)
        .with_context(|| format!("an image of shape {:?} cannot be scored", self.shape))?;
        ensure!(
            scores.size() == [1, i64::from(self.classes)],
            "the model's scores for one image have shape {:?}, the specification says {} classes",
            scores.size(),
            self.classes
        );
        let finite: Vec<f32> = Vec::try_from(scores.view(-1).to_kind(Kind::Float))?;
        ensure!(
            finite.iter().all(|score| score.is_finite()),
            "the model's scores for an empty image are not finite"
        );
        Ok(())
    }
}

/// The mean and deviation of each channel; 0 and 1 where the network normalises by itself, or not
/// at all.
fn normalisation(spec: &ModelSpec, channels: usize) -> Vec<(f64, f64)> {
    match (&spec.mean, &spec.std) {
        (Some(mean), Some(std)) => mean.iter().copied().zip(std.iter().copied()).collect(),
        _ => vec![(0.0, 1.0); channels],
    }
}
