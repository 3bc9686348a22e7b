#![allow(clippy::unwrap_used)]

mod ascent;
mod choice;
mod diverging;
mod groups;
mod losses;
mod provenance;
mod refused;
mod resuming;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ddrs_common::data::write_tensors;
use ddrs_common::domain::Class;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::feed::Feed;
use super::journal::{Distribution, Line};
use super::step::{Inputs, Setting};
use super::*;

const LOSSES: [&str; 3] = [
    "kind = \"gaussian\"",
    "kind = \"smoothadv\"\ndraws = 2\nsteps = 2\nepsilon = 0.1\nwarm-up = 2",
    "kind = \"macer\"\ndraws = 2\nlambda = 1.0\ngamma = 2.0",
];
const DATA_DEPENDENT: &str = "choice = \"data-dependent\"\nfrom-epoch = 1\ndraws = 2\nlearning-rate = 0.05\nrange = [0.05, 0.4]";

/// torch's generator is the whole process's: a test that draws from it keeps the others from it
/// until it is done.
pub(super) fn alone() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    // A test that failed left nothing behind: each seeds for itself.
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 8 x 8 images of two classes, one brighter than the other, and a specification that trains on
/// them.
struct Folder(TempDir);

impl Folder {
    fn new(loss: &str, sigma: &str, epochs: u64) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let labels: Vec<Class> = (0..80).map(|i| Class(i % 2)).collect();
        let pixel = |class: &Class| 0.25 + 0.5 * class.0 as f32;
        let pixels: Vec<f32> = labels
            .iter()
            .flat_map(|class| vec![pixel(class); 192])
            .collect();
        let pixels: Vec<f32> = pixels
            .into_iter()
            .map(|pixel| pixel + rng.random_range(-0.2..0.2))
            .collect();
        write_tensors(
            &folder.path("images.safetensors"),
            [80, 3, 8, 8],
            &pixels,
            &labels,
        )
        .unwrap();
        let spec = format!(
            "name = \"small\"\nseed = 3\n[dataset]\nformat = \"tensors\"\npath = \"images.safetensors\"\n\
             [validation]\nsamples = 16\n[model]\narchitecture = \"cifar-resnet20\"\nclasses = 2\n\
             mean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n[loss]\n{loss}\n[sigma]\ninitial = 0.25\n{sigma}\n\
             [train]\nepochs = {epochs}\nbatch = 16\n[optimiser]\nlearning-rate = 0.02\nschedule = \"cosine\"\n\
             [augmentation]\ncrop-padding = 1\n"
        );
        fs::write(folder.path("train.toml"), spec).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn train(&self) -> Result<()> {
        train(
            &self.path("train.toml"),
            &self.path("model.safetensors"),
            Device::Cpu,
            &|| false,
        )
    }

    /// What ends a training that cannot come to its end, and its exit code.
    fn fails(&self) -> (String, u8) {
        let error = self.train().unwrap_err();
        (
            format!("{error:#}"),
            ddrs_common::cli::ExitCode::of(&error).code(),
        )
    }

    /// One step of a new network, in so many groups, on these of the inputs that train: the state
    /// after it, the inputs' places, and what the step came to.
    fn step(
        &self,
        groups: u64,
        inputs: impl Iterator<Item = usize>,
    ) -> (State, Vec<usize>, step::Value) {
        let Opened { spec, examples, .. } = self.opened();
        let lanes = Lanes::new(groups, Device::Cpu).unwrap();
        let mut state = begin(&spec, examples.len(), Device::Cpu).unwrap();
        let setting = Setting {
            spec: &spec,
            lanes: &lanes,
        };
        let places: Vec<usize> = inputs.map(|input| examples.training[input]).collect();
        let mut feed = Feed::new(&spec, Arc::new(examples), Device::Cpu);
        let (images, labels) = feed.batch((0, 0), &places, None).unwrap();
        let value = step::step(
            &setting,
            &mut state,
            &Inputs {
                places: &places,
                images,
                labels,
            },
            0.1,
        )
        .unwrap();
        (state, places, value)
    }

    fn opened(&self) -> Opened {
        opening::open(&self.path("train.toml"), &self.path("model.safetensors")).unwrap()
    }

    /// What the model says of itself.
    fn provenance(&self) -> serde_json::Value {
        let (_, metadata) = weights_file::read(&self.path("model.safetensors")).unwrap();
        serde_json::from_str(&metadata["training"]).unwrap()
    }

    fn edit(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.path("train.toml")).unwrap();
        assert!(text.contains(old), "{old}");
        fs::write(self.path("train.toml"), text.replace(old, new)).unwrap();
    }

    fn log(&self) -> Vec<Line> {
        let text = fs::read_to_string(self.path("model.log.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
