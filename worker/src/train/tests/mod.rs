#![allow(clippy::unwrap_used)]

mod ascent;
mod best_epoch;
mod diverging;
mod groups;
mod losses;
mod provenance;
mod refused;
mod resuming;
mod selector;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ddrs_common::cli::ExitCode;
use ddrs_common::data::write_tensors;
use ddrs_common::domain::Class;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;
use tempfile::TempDir;

use super::checkpoint::Identity;
use super::epoch_log::{EpochEntry, SigmaDistribution};
use super::prefetch::BatchPrefetcher;
use super::step::{StepContext, StepInputs, StepResult};
use super::*;

const LOSSES: [&str; 3] = [
    "kind = \"gaussian\"",
    "kind = \"smoothadv\"\ndraws = 2\nsteps = 2\nepsilon = 0.1\nwarm-up = 2",
    "kind = \"macer\"\ndraws = 2\nlambda = 1.0\ngamma = 2.0",
];
const DATA_DEPENDENT: &str = concat!(
    "choice = \"data-dependent\"\nfrom-epoch = 1\ndraws = 2\n",
    "learning-rate = 0.05\nrange = [0.05, 0.4]"
);

/// Waits for the other tests that use torch's generator, which is global to the process, and keeps
/// it until the guard is dropped.
pub(super) fn use_generator() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    // Each test seeds the generator, so the state that a failed test left does no harm.
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder with 8 x 8 images of two classes, one brighter than the other, and a specification that
/// trains on them.
struct TrainingFolder(TempDir);

/// The number of images in a [`TrainingFolder`], of which 16 are for validation.
const IMAGES: usize = 80;
const IMAGE_SIZE: usize = 3 * 8 * 8;

impl TrainingFolder {
    fn new(loss: &str, sigma: &str, epochs: u64) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let labels: Vec<Class> = (0..IMAGES as u32).map(|i| Class(i % 2)).collect();
        folder.write_images(&pixels(&labels), &labels);
        let spec = specification(loss, sigma, epochs);
        fs::write(folder.path("train.toml"), spec).unwrap();
        folder
    }

    fn write_images(&self, pixels: &[f32], labels: &[Class]) {
        let path = self.path("images.safetensors");
        write_tensors(&path, [IMAGES, 3, 8, 8], pixels, labels).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn train(&self) -> Result<()> {
        self.train_until(&|| false)
    }

    fn train_until(&self, stop: &dyn Fn() -> bool) -> Result<()> {
        let out = self.path("model.safetensors");
        train(&self.path("train.toml"), &out, Device::Cpu, stop)
    }

    /// Trains, and returns the error and the exit code.
    fn fail(&self) -> (String, u8) {
        let error = self.train().unwrap_err();
        (format!("{error:#}"), ExitCode::of(&error).code())
    }

    /// Runs one step of a new network, in this number of groups, on these of the training inputs.
    /// Returns the state after it, the places of the inputs, and the result.
    fn step(
        &self,
        groups: u64,
        inputs: impl Iterator<Item = usize>,
    ) -> (TrainingState, Vec<usize>, StepResult) {
        let Preflight { spec, examples, .. } = self.preflight();
        let threads = &GroupThreads::new(groups, Device::Cpu).unwrap();
        let mut state = initial_state(&spec, examples.len(), Device::Cpu).unwrap();
        let places: Vec<usize> = inputs.map(|input| examples.training[input]).collect();
        let mut batches = BatchPrefetcher::new(&spec, Arc::new(examples), Device::Cpu);
        let (images, labels) = batches.batch((0, 0), &places, None).unwrap();
        let spec = &spec;
        let context = StepContext { spec, threads };
        let inputs = StepInputs {
            places: &places,
            images,
            labels,
        };
        let result = step::step(&context, &mut state, &inputs, 0.1).unwrap();
        (state, places, result)
    }

    fn preflight(&self) -> Preflight {
        preflight::check(&self.path("train.toml"), &self.path("model.safetensors")).unwrap()
    }

    /// The initial state of its training, and what the checkpoint belongs to.
    fn initial_state(&self) -> (TrainingState, Identity) {
        let Preflight {
            spec,
            identity,
            examples,
            ..
        } = self.preflight();
        let state = initial_state(&spec, examples.len(), Device::Cpu).unwrap();
        (state, identity)
    }

    /// The bytes of the trained model.
    fn model(&self) -> Vec<u8> {
        fs::read(self.path("model.safetensors")).unwrap()
    }

    /// The model's metadata about its origin.
    fn provenance(&self) -> serde_json::Value {
        let (_, metadata) = weights_file::read(&self.path("model.safetensors")).unwrap();
        serde_json::from_str(&metadata["training"]).unwrap()
    }

    fn edit(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.path("train.toml")).unwrap();
        assert!(text.contains(old), "{old}");
        fs::write(self.path("train.toml"), text.replace(old, new)).unwrap();
    }

    fn log(&self) -> Vec<EpochEntry> {
        let text = fs::read_to_string(self.path("model.log.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn pixels(labels: &[Class]) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let brightness = |class: &Class| 0.25 + 0.5 * class.0 as f32;
    let pixels = labels
        .iter()
        .flat_map(|class| vec![brightness(class); IMAGE_SIZE]);
    pixels
        .map(|pixel| pixel + rng.random_range(-0.2..0.2))
        .collect()
}

fn specification(loss: &str, sigma: &str, epochs: u64) -> String {
    format!(
        "name = \"small\"\nseed = 3\n\
         [dataset]\nformat = \"tensors\"\npath = \"images.safetensors\"\n\
         [validation]\nsamples = 16\n\
         [model]\narchitecture = \"cifar-resnet20\"\nclasses = 2\n\
         mean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n\
         [loss]\n{loss}\n\
         [sigma]\ninitial = 0.25\n{sigma}\n\
         [train]\nepochs = {epochs}\nbatch = 16\n\
         [optimiser]\nlearning-rate = 0.02\nschedule = \"cosine\"\n\
         [augmentation]\ncrop-padding = 1\n"
    )
}

/// Copies of the tensors of a network, with their names.
fn copied_tensors(state: &TrainingState) -> Vec<(String, Tensor)> {
    state
        .network
        .tensors()
        .map(|(name, tensor)| (name.to_owned(), tensor.detach().copy()))
        .collect()
}
