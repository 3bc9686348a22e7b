#![allow(clippy::unwrap_used)]
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ddrs_common::data::write_tensors;
use ddrs_common::domain::Class;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::*;

const LOSSES: [&str; 3] = [
    "kind = \"gaussian\"",
    "kind = \"smoothadv\"\ndraws = 2\nsteps = 2\nepsilon = 0.1\nwarm-up = 2",
    "kind = \"macer\"\ndraws = 2\nlambda = 1.0\ngamma = 2.0",
];
const DATA_DEPENDENT: &str =
    "choice = \"data-dependent\"\nfrom-epoch = 1\ndraws = 2\nlearning-rate = 0.05\nrange = [0.05, 0.4]";

/// torch's generator is the whole process's: a test that draws from it keeps the others from it until it is done.
pub(super) fn alone() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    // A test that failed left nothing behind: each seeds for itself.
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 8 x 8 images of two classes, one brighter than the other, and a specification that trains on them.
struct Folder(TempDir);

impl Folder {
    fn new(loss: &str, sigma: &str, epochs: u64) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let labels: Vec<Class> = (0..80).map(|i| Class(i % 2)).collect();
        let pixel = |class: &Class| 0.25 + 0.5 * class.0 as f32;
        let pixels: Vec<f32> = labels.iter().flat_map(|class| vec![pixel(class); 192]).collect();
        let pixels: Vec<f32> = pixels.into_iter().map(|pixel| pixel + rng.random_range(-0.2..0.2)).collect();
        write_tensors(&folder.path("images.safetensors"), [80, 3, 8, 8], &pixels, &labels).unwrap();
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
        train(&self.path("train.toml"), &self.path("model.safetensors"), Device::Cpu, &AtomicBool::new(false))
    }

    fn edit(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.path("train.toml")).unwrap();
        assert!(text.contains(old), "{old}");
        fs::write(self.path("train.toml"), text.replace(old, new)).unwrap();
    }

    fn log(&self) -> Vec<Line> {
        let text = fs::read_to_string(self.path("model.log.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn every_loss_falls_on_a_small_set() {
    let _alone = alone();
    for loss in LOSSES {
        let folder = Folder::new(loss, "", 4);
        folder.train().unwrap();
        let log = folder.log();
        assert!(log[3].loss < 0.7 * log[0].loss, "{loss}: {} after {}", log[3].loss, log[0].loss);
        assert!(log[3].accuracy > 0.8, "{loss}: {}", log[3].accuracy);
        let sigma = Distribution::of([0.25].into_iter());
        assert!(log.iter().all(|line| line.sigma == sigma), "a fixed sigma stays");
    }
}

#[test]
fn a_data_dependent_sigma_moves_from_its_epoch_on_and_stays_in_range() {
    let _alone = alone();
    for loss in LOSSES {
        let folder = Folder::new(loss, DATA_DEPENDENT, 3);
        folder.train().unwrap();
        let sigmas: Vec<Distribution> = folder.log().iter().map(|line| line.sigma).collect();
        assert_eq!((sigmas[0].least, sigmas[0].largest), (0.25, 0.25), "{loss}: before its epoch");
        assert!(sigmas[1].least < sigmas[1].largest, "{loss}: {:?}", sigmas[1]);
        assert_ne!(sigmas[1], sigmas[2], "{loss}: each epoch goes on from the one before");
        assert!(sigmas.iter().all(|s| s.least >= 0.05 && s.largest <= 0.4), "{loss}: {sigmas:?}");
    }
}

#[test]
fn training_that_was_stopped_comes_to_the_same_weights() {
    let _alone = alone();
    for sigma in ["", DATA_DEPENDENT] {
        let (whole, pieces) = (Folder::new(LOSSES[0], sigma, 2), Folder::new(LOSSES[0], sigma, 2));
        whole.train().unwrap();
        // Already told to stop, it saves where it stands; each further call that is let go takes some steps.
        let out = pieces.path("model.safetensors");
        let stop = AtomicBool::new(true);
        let error = train(&pieces.path("train.toml"), &out, Device::Cpu, &stop).unwrap_err();
        assert_eq!(crate::exit::code(&error), 130, "{error:#}");
        assert!(checkpoint::path_beside(&out).exists() && !out.exists());
        stop_after_steps(&pieces, 3);
        stop_after_steps(&pieces, 2);
        pieces.train().unwrap();
        assert!(fs::read(whole.path("model.safetensors")).unwrap() == fs::read(out).unwrap(), "{sigma}");
        let times_aside = |mut line: Line| {
            (line.seconds, line.images_per_second) = (0.0, 0.0);
            line
        };
        let log = |folder: &Folder| folder.log().into_iter().map(times_aside).collect::<Vec<_>>();
        assert_eq!(log(&whole), log(&pieces));
    }
}

/// Goes on for so many steps, then is told to stop.
fn stop_after_steps(folder: &Folder, steps: u64) {
    let out = folder.path("model.safetensors");
    let spec = Training::parse(&fs::read_to_string(folder.path("train.toml")).unwrap(), &folder.path("train.toml"));
    let spec = spec.unwrap();
    let examples = Examples::read(&spec).unwrap();
    let lanes = Lanes::new(spec.batch.get() / spec.group.get(), Device::Cpu).unwrap();
    let (_, metadata) = weights_file::read(&checkpoint::path_beside(&out)).unwrap();
    let identity: Identity = serde_json::from_str(&metadata["identity"]).unwrap();
    let mut state = begin(&spec, examples.len(), Device::Cpu).unwrap();
    assert!(checkpoint::take_up(&checkpoint::path_beside(&out), &mut state, &identity).unwrap());
    for _ in 0..steps {
        let order = examples.order(spec.seed, state.position.epoch);
        let (step, batch) = (state.position.step, spec.batch.get());
        let places = &order[(step * batch) as usize..((step + 1) * batch) as usize];
        let rate = optimiser::learning_rate(
            &spec.optimiser,
            (state.position.epoch, spec.epochs.get()),
            (step, order.len() as u64 / batch),
        );
        let setting = Setting { spec: &spec, examples: &examples, lanes: &lanes, device: Device::Cpu };
        let value = step::step(&setting, &mut state, places, rate).unwrap();
        state.position.sums.loss += value.loss * batch as f64;
        state.position.sums.correct += value.correct as u64;
        state.position.sums.inputs += batch;
        state.position.step += 1;
        if state.position.step == order.len() as u64 / batch {
            return;
        }
    }
    checkpoint::save(&checkpoint::path_beside(&out), &state, &identity).unwrap();
}

#[test]
fn groups_come_to_the_same_weights_on_any_number_of_cores() {
    let _alone = alone();
    for sigma in ["", DATA_DEPENDENT] {
        let weights = [1, 2].map(|threads| {
            let folder = Folder::new(LOSSES[0], sigma, 2);
            folder.edit("batch = 16", "batch = 16\ngroup = 8");
            tch::set_num_threads(threads);
            folder.train().unwrap();
            fs::read(folder.path("model.safetensors")).unwrap()
        });
        assert!(weights[0] == weights[1], "{sigma}");
    }
}

#[test]
fn every_loss_falls_in_groups_too() {
    let _alone = alone();
    for loss in LOSSES {
        let folder = Folder::new(loss, "", 4);
        folder.edit("batch = 16", "batch = 16\ngroup = 8");
        folder.train().unwrap();
        let log = folder.log();
        assert!(log[3].loss < 0.7 * log[0].loss, "{loss}: {} after {}", log[3].loss, log[0].loss);
    }
}

/// One step of a new network on the same inputs, in so many groups: its tensors after it, and the loss.
fn after_a_step(groups: u64) -> (Vec<Tensor>, f64) {
    let folder = Folder::new(LOSSES[0], "", 1);
    folder.edit("batch = 16", &format!("batch = 16\ngroup = {}", 16 / groups));
    // So little noise and no augmentation, that an input is the same in each group.
    folder.edit("initial = 0.25", "initial = 1e-6");
    folder.edit("crop-padding = 1", "crop-padding = 0\nflip = false");
    let path = folder.path("train.toml");
    let spec = Training::parse(&fs::read_to_string(&path).unwrap(), &path).unwrap();
    let examples = Examples::read(&spec).unwrap();
    let lanes = Lanes::new(groups, Device::Cpu).unwrap();
    let mut state = begin(&spec, examples.len(), Device::Cpu).unwrap();
    let setting = Setting { spec: &spec, examples: &examples, lanes: &lanes, device: Device::Cpu };
    // Each input twice, half a batch apart: the halves have the same statistics, and their means are the whole's.
    let places: Vec<usize> = examples.training[..8].iter().copied().cycle().take(16).collect();
    let value = step::step(&setting, &mut state, &places, 0.1).unwrap();
    (state.network.tensors().map(|(_, tensor)| tensor.detach().copy()).collect(), value.loss)
}

#[test]
fn a_batch_in_groups_is_a_step_along_the_mean_of_their_gradients() {
    let _alone = alone();
    let (whole, groups) = (after_a_step(1), after_a_step(2));
    assert!((whole.1 - groups.1).abs() < 1e-3 * whole.1, "{} and {}", whole.1, groups.1);
    for (whole, groups) in whole.0.iter().zip(&groups.0) {
        // A variance over fewer values is corrected a little more.
        let apart = (whole - groups).norm().double_value(&[]) / whole.norm().double_value(&[]).max(0.1);
        assert!(apart < 0.01, "{apart}");
    }
}

#[test]
fn the_file_says_what_it_is_and_where_it_comes_from() {
    let _alone = alone();
    let folder = Folder::new(LOSSES[0], "", 1);
    folder.train().unwrap();
    let (_, metadata) = weights_file::read(&folder.path("model.safetensors")).unwrap();
    assert_eq!(metadata["architecture"], "cifar-resnet20");
    assert_eq!((metadata["mean"].as_str(), metadata["classes"].as_str()), ("[0.5,0.5,0.5]", "2"));
    let training: serde_json::Value = serde_json::from_str(&metadata["training"]).unwrap();
    assert_eq!((&training["epochs"], &training["loss"]), (&1.into(), &"gaussian".into()));
    assert_eq!(training["validation_accuracy"], folder.log()[0].validation_accuracy);
    let architecture = "cifar-resnet20".parse().unwrap();
    ddrs_common::architecture::check_model(&folder.path("model.safetensors"), architecture, 2).unwrap();
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_anything_is_computed() {
    let _alone = alone();
    let folder = Folder::new(LOSSES[0], "", 1);
    for (out, says) in [("nowhere/model.safetensors", "there is no folder"), ("model.pt", "must end in .safetensors")] {
        let out = folder.path(out);
        let error = train(&folder.path("train.toml"), &out, Device::Cpu, &AtomicBool::new(false)).unwrap_err();
        assert_eq!(crate::exit::code(&error), 2);
        assert!(format!("{error:#}").contains(says), "{error:#}");
    }
}

#[test]
fn divergence_is_told_with_its_epoch_and_step() {
    let _alone = alone();
    let folder = Folder::new(LOSSES[0], "", 2);
    folder.edit("learning-rate = 0.02", "learning-rate = 1e30");
    let error = format!("{:#}", folder.train().unwrap_err());
    assert!(error.contains("at epoch 0, step "), "{error}");
    assert!(!folder.path("model.safetensors").exists());
}

#[test]
fn a_checkpoint_of_another_specification_is_refused() {
    let _alone = alone();
    let folder = Folder::new(LOSSES[0], "", 1);
    folder.train().unwrap();
    folder.edit("seed = 3", "seed = 4");
    let error = folder.train().unwrap_err();
    assert_eq!(crate::exit::code(&error), 2);
    let error = format!("{error:#}");
    assert!(error.contains("model.checkpoint.safetensors is of another specification"), "{error}");
}

#[test]
fn the_choice_of_sigma_leaves_the_network_as_it_was() {
    let _alone = alone();
    let folder = Folder::new(LOSSES[0], DATA_DEPENDENT, 2);
    let path = folder.path("train.toml");
    let spec = Training::parse(&fs::read_to_string(&path).unwrap(), &path).unwrap();
    let state = begin(&spec, 80, Device::Cpu).unwrap();
    let before: Vec<Tensor> = state.network.tensors().map(|(_, tensor)| tensor.detach().copy()).collect();
    let ddrs_common::spec::TrainingChoice::DataDependent { ascent, .. } = &spec.sigma.choice else { unreachable!() };
    let images = Tensor::rand([4, 3, 8, 8], (Kind::Float, Device::Cpu));
    let noise = |_| Tensor::f_randn([8, 3, 8, 8], (Kind::Float, Device::Cpu));
    let scores = |batch: &Tensor| state.network.scores(batch, Mode::Frozen);
    let moved = crate::sigma::ascend(&images, &[0.25; 4], ascent, &scores, noise).unwrap();
    assert!(moved.iter().any(|sigma| sigma.unwrap() != 0.25));
    for ((name, after), before) in state.network.tensors().zip(before) {
        assert!(after.equal(&before), "{name} moved");
        assert!(!after.grad().defined(), "{name} has a gradient");
    }
}
