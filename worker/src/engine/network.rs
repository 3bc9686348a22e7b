//! A loaded model, ready for every thread.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use ddrs_common::architecture::Outputs;
use ddrs_common::data::Image;
use ddrs_common::spec::{ModelSource, ModelSpec};
use rayon::ThreadPool;
use tch::{Device, Kind, TchError, Tensor};

use super::coupling::CouplingTrial;
use crate::failure::brief;
use crate::model::{self, Classifier, ModelFile};

/// A network on one device, with the shape of its images.
pub struct LoadedNetwork {
    /// One handle per thread on the same weights. A tensor's handle may move between threads but
    /// not be shared.
    handles: Vec<Mutex<Box<dyn Classifier>>>,
    spec: ModelSpec,
    shape: [usize; 3],
    kind: Kind,
    normalisation: Vec<(f64, f64)>,
    identity: String,
}

impl LoadedNetwork {
    /// Loads a model and tries it on images of `shape`, on one of `threads`.
    ///
    /// # Errors
    /// When the file is not what the specification says, the device lacks the precision, or the
    /// scores are not one finite number per class.
    pub(super) fn load(
        spec: &ModelSpec,
        file: &ModelFile,
        shape: [usize; 3],
        device: Device,
        threads: &ThreadPool,
    ) -> Result<Self> {
        spec.check_channels(shape[0])?;
        let first = model::load_file(spec, file, device)?;
        let network = Self {
            spec: spec.clone(),
            shape,
            kind: first.kind(),
            normalisation: normalisation(spec, shape[0]),
            identity: identity(spec, file, shape),
            handles: handles(first, threads.current_num_threads()),
        };
        threads
            .install(|| network.check_scores(device))
            .with_context(|| spec.path.display().to_string())?;
        Ok(network)
    }

    /// Returns the number of classes.
    #[must_use]
    pub fn classes(&self) -> u32 {
        self.spec.classes
    }

    /// Returns the channels, height and width of its images.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Checks the shape of an image.
    pub(super) fn check_shape(&self, image: &Image) -> Result<(), String> {
        if image.shape == self.shape {
            return Ok(());
        }
        Err(format!(
            "the image has shape {:?}, the first of the sweep {:?}",
            image.shape, self.shape
        ))
    }

    /// Returns the number format that it computes in.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the mean and the standard deviation that normalise each channel.
    pub(super) fn normalisation(&self) -> &[(f64, f64)] {
        &self.normalisation
    }

    /// Returns a text that differs between any two networks: it is made of the digest of the file,
    /// the parts of the specification that change scores, and the shape of the images. The noise
    /// depends on it.
    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// Checks that the scores of an image depend on that image alone, in passes of `rows` images.
    ///
    /// # Errors
    /// When they do not.
    pub(super) fn check_coupling(&self, rows: u64, device: Device) -> Result<()> {
        let scores = |batch: &Tensor| tch::no_grad(|| self.scores(batch));
        CouplingTrial::new(&scores, self.classes(), self.shape, device, self.kind)?
            .check(rows, self.spec.precision)
    }

    /// Returns the path of its file, for messages.
    pub(super) fn path(&self) -> String {
        self.spec.path.display().to_string()
    }

    /// Describes a pass of `rows` images that failed, and says what to do about a program.
    pub(super) fn failed_pass(&self, rows: u64) -> String {
        let [channels, height, width] = self.shape;
        let advice = match self.spec.source {
            ModelSource::TorchScript => {
                "; if the program was traced for a fixed number of images, export it again so that \
                 it takes any number"
            }
            ModelSource::Safetensors(_) => "",
        };
        format!("images of shape [{rows}, {channels}, {height}, {width}] cannot be scored{advice}")
    }

    /// Scores images that are normalised and in this network's number format, with this thread's
    /// handle.
    pub(super) fn scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        self.handle().prepared_scores(images)
    }

    /// Scores images in \[0, 1\], with this thread's handle. The softmax of these scores are the
    /// probabilities of the classes. They are differentiable in the images.
    pub(crate) fn differentiable_scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        self.handle().logits(images)
    }

    /// Returns the meaning of the scores.
    pub(super) fn outputs(&self) -> Outputs {
        self.spec.options.outputs
    }

    /// Returns the handle of the calling thread.
    fn handle(&self) -> MutexGuard<'_, Box<dyn Classifier>> {
        let thread = rayon::current_thread_index().unwrap_or(0) % self.handles.len();
        // A panic ends the process. Until then the handle is usable, for weights never change.
        self.handles[thread]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Scores an empty image, and checks the shape and the values of the scores.
    fn check_scores(&self, device: Device) -> Result<()> {
        let scores = self.score_empty_image(device)?;
        ensure!(
            scores.size() == [1, i64::from(self.classes())],
            "the model's scores for one image have shape {:?}, the specification says {} classes",
            scores.size(),
            self.classes()
        );
        let values: Vec<f32> = Vec::try_from(scores.view(-1).to_kind(Kind::Float))?;
        let are_finite = values.iter().all(|score| score.is_finite());
        ensure!(
            are_finite,
            "the model's scores for an empty image are not finite"
        );
        self.check_probabilities(&values)
    }

    /// Checks that scores are probabilities if the specification says so. Half precisions round
    /// each of them.
    fn check_probabilities(&self, scores: &[f32]) -> Result<()> {
        let sum: f32 = scores.iter().sum();
        let are_probabilities = scores.iter().all(|score| *score >= 0.0) && (sum - 1.0).abs() < 0.1;
        ensure!(
            self.outputs() == Outputs::Scores || are_probabilities,
            "the specification says outputs = \"probabilities\", but the outputs for an empty \
             image are not from 0 to 1 with the sum 1; write outputs = \"scores\""
        );
        Ok(())
    }

    fn empty_image(&self, device: Device) -> Tensor {
        let [channels, height, width] = self.shape.map(|side| side as i64);
        Tensor::zeros([1, channels, height, width], (Kind::Float, device))
    }

    fn score_empty_image(&self, device: Device) -> Result<Tensor> {
        tch::no_grad(|| self.handle().scores(&self.empty_image(device)))
            .map_err(brief)
            .with_context(|| self.failed_pass(1))
    }
}

fn handles(first: Box<dyn Classifier>, threads: usize) -> Vec<Mutex<Box<dyn Classifier>>> {
    let others: Vec<_> = (1..threads).map(|_| first.share()).collect();
    std::iter::once(first)
        .chain(others)
        .map(Mutex::new)
        .collect()
}

fn identity(spec: &ModelSpec, file: &ModelFile, shape: [usize; 3]) -> String {
    let digest = file.digest();
    let source = match spec.source {
        ModelSource::Safetensors(architecture) => architecture.to_string(),
        ModelSource::TorchScript => "torchscript".to_owned(),
    };
    let precision = spec.precision.as_str();
    let mean = spec.mean.as_deref();
    let std = spec.std.as_deref();
    let options = unusual_options(spec) + &chosen_weights(spec);
    format!("{digest} {source} {precision} {mean:?} {std:?} {shape:?}{options}")
}

/// Empty for a file of one network, so that the noise of such networks stays as it was.
fn chosen_weights(spec: &ModelSpec) -> String {
    let weights = spec.weights.as_deref();
    weights.map_or(String::new(), |name| [" weights=", name].concat())
}

/// Empty for the usual options, so that the noise of such networks stays as it was without options.
fn unusual_options(spec: &ModelSpec) -> String {
    let differences = spec.options.differences(&spec.source.usual_options());
    let words = differences.into_iter();
    let words = words.map(|(key, value)| [" ", key.as_str(), "=", &value].concat());
    words.collect()
}

/// Returns the mean and the standard deviation of each channel. They are 0 and 1 where the network
/// normalises its images itself, or does not normalise them.
fn normalisation(spec: &ModelSpec, channels: usize) -> Vec<(f64, f64)> {
    match (&spec.mean, &spec.std) {
        (Some(mean), Some(std)) => mean.iter().copied().zip(std.iter().copied()).collect(),
        _ => vec![(0.0, 1.0); channels],
    }
}
