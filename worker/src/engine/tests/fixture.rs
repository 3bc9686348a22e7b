//! A model on disk with its sweep and its images.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use ddrs_common::data::Image;
use ddrs_common::domain::{Certification, SampleIndex, Sigma};
use ddrs_common::grid::{DataFacts, Grid, ImageFacts};
use ddrs_common::spec::{self, ModelSpec, Sweep, Variant};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tch::{Device, Tensor};
use tempfile::TempDir;

use crate::engine::{Engine, LoadedNetwork, Sample, SampleResult, SweepPart};
use crate::model::{self, random_weights};

/// A model on disk with its sweep.
pub(super) struct ModelFixture {
    pub(super) sweep: Sweep,
    pub(super) shape: [usize; 3],
    pub(super) data: DataFacts,
    _dir: TempDir,
}

impl ModelFixture {
    /// Makes a network with random weights, balanced so that no class wins everywhere and noise
    /// decides.
    pub(super) fn resnet(architecture: &str, side: usize, settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.safetensors");
        random_weights(architecture.parse().unwrap(), 10, 5, &path).unwrap();
        let model = format!(
            "architecture = \"{architecture}\"\nclasses = 10\n\
             mean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]"
        );
        let fixture = Self::new(dir, [3, side, side], &model, settings);
        let sigma = fixture.sweep.smoothing.sigma[0];
        fixture.balance(&fixture.sweep.models[0], sigma);
        fixture
    }

    /// Makes the same network as the expert of all levels, and a selector of two levels with random
    /// weights under whose noise both levels are given.
    pub(super) fn selected_resnet(settings: &str) -> Self {
        let fixture = Self::resnet("cifar-resnet20", 32, settings);
        let selected = fixture.sweep.smoothing.selected.as_ref().unwrap();
        let selector = &selected.selector;
        random_weights("cifar-resnet20".parse().unwrap(), 2, 6, &selector.path).unwrap();
        fixture.balance(selector, selected.tau);
        fixture
    }

    /// Makes half-spaces as the expert of all levels and as the selector.
    pub(super) fn selected_half_space(weight: &[f32], selector: &[f32], settings: &str) -> Self {
        let fixture = Self::half_space(weight, 0.0, settings);
        let selected = fixture.sweep.smoothing.selected.as_ref().unwrap();
        write_half_space(&selected.selector.path, selector, 0.0);
        fixture
    }

    /// Scales the last layer of a network so that noise of this sigma decides between the classes.
    fn balance(&self, model: &ModelSpec, sigma: Sigma) {
        balance(&model.path, &self.noisy_scores(model, sigma));
    }

    /// Scores 16 samples under one draw of noise each.
    fn noisy_scores(&self, model: &ModelSpec, sigma: Sigma) -> Tensor {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let sigma = sigma.get() as f32;
        let pixels: Vec<f32> = (0..16)
            .flat_map(|index| self.sample(index).image.pixels)
            .map(|pixel| pixel + sigma * rng.sample::<f32, _>(StandardNormal))
            .collect();
        let [channels, height, width] = self.shape.map(|side| side as i64);
        let images = Tensor::from_slice(&pixels).view([16, channels, height, width]);
        model::load(model, Device::Cpu)
            .unwrap()
            .scores(&images)
            .unwrap()
    }

    /// Makes the half-space w·x + b > 0.
    pub(super) fn half_space(weight: &[f32], bias: f32, settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_half_space(&dir.path().join("m.safetensors"), weight, bias);
        Self::new(
            dir,
            [1, 1, weight.len()],
            "architecture = \"half-space\"\nclasses = 2",
            settings,
        )
    }

    /// Returns a variant over the fixture's data.
    pub(super) fn part<'a>(&'a self, variant: &'a Variant) -> SweepPart<'a> {
        SweepPart {
            sweep: &self.sweep,
            variant,
            data: &self.data,
        }
    }

    /// Loads the networks of the sweep's only variant.
    pub(super) fn load_all(&self, engine: &Engine) -> Vec<LoadedNetwork> {
        let networks = self.sweep.networks();
        let places = self
            .sweep
            .networks_of(&self.sweep.variants()[0])
            .into_iter();
        places
            .map(|place| engine.load(networks[place], self.shape).unwrap())
            .collect()
    }

    /// Loads the sweep's only model.
    pub(super) fn load(&self, engine: &Engine) -> LoadedNetwork {
        engine.load(&self.sweep.models[0], self.shape).unwrap()
    }

    fn new(dir: TempDir, shape: [usize; 3], model: &str, settings: &str) -> Self {
        let text = format!(
            "name = \"t\"\nseed = 1\n[dataset]\nformat = \"tensors\"\npath = \"none\"\n\
             [[model]]\nname = \"m\"\npath = \"m.safetensors\"\n{model}\n{settings}"
        );
        Self {
            sweep: spec::parse(&text, &dir.path().join("t.toml")).unwrap(),
            shape,
            data: DataFacts {
                len: 1_000,
                digest: [7; 32],
                images: ImageFacts {
                    shape,
                    grid: Grid::BYTES,
                },
            },
            _dir: dir,
        }
    }

    /// Makes a sample with random bytes as pixels, which are a function of the index.
    pub(super) fn sample(&self, index: u64) -> Sample {
        let mut rng = ChaCha8Rng::seed_from_u64(index);
        let pixels = (0..self.shape.iter().product())
            .map(|_| f32::from(rng.random::<u8>()) / 255.0)
            .collect();
        Sample {
            index: SampleIndex(index),
            position: index,
            image: Image {
                shape: self.shape,
                pixels,
            },
        }
    }

    /// Returns the results of the samples under the sweep's only variant, all from one call.
    pub(super) fn certify(
        &self,
        engine: &Engine,
        samples: Vec<Sample>,
    ) -> BTreeMap<u64, SampleResult> {
        self.certify_by(&self.load_all(engine), engine, samples)
    }

    /// Returns the same results with networks that are already loaded.
    pub(super) fn certify_by(
        &self,
        networks: &[LoadedNetwork],
        engine: &Engine,
        samples: Vec<Sample>,
    ) -> BTreeMap<u64, SampleResult> {
        let results = Mutex::new(BTreeMap::new());
        let on_result = |index: SampleIndex, result, seconds: f64| {
            assert!(seconds >= 0.0);
            let before = results.lock().unwrap().insert(index.0, result);
            assert!(before.is_none(), "sample {index} was reported twice");
        };
        let variant = &self.sweep.variants()[0];
        let never = AtomicBool::new(false);
        let mut samples = samples.into_iter();
        let networks: Vec<&LoadedNetwork> = networks.iter().collect();
        engine
            .certify(
                &networks,
                self.part(variant),
                &mut samples,
                &never,
                &on_result,
            )
            .unwrap();
        results.into_inner().unwrap()
    }

    /// Returns the certifications of samples none of which fails.
    pub(super) fn certified(
        &self,
        engine: &Engine,
        samples: Vec<Sample>,
    ) -> BTreeMap<u64, Certification> {
        self.certify(engine, samples)
            .into_iter()
            .map(|(index, result)| (index, result.unwrap()))
            .collect()
    }
}

fn write_half_space(path: &Path, weight: &[f32], bias: f32) {
    let tensors = [
        ("weight", Tensor::from_slice(weight)),
        ("bias", Tensor::from_slice(&[bias])),
    ];
    Tensor::write_safetensors(&tensors, path).unwrap();
}

/// Scales the last layer so that the mean of `scores` becomes 0 and the largest becomes 1.
fn balance(path: &Path, scores: &Tensor) {
    let mean = scores.mean_dim(0, false, None);
    let scale = 1.0 / (scores - &mean).abs().max().double_value(&[]);
    let mut tensors = Tensor::read_safetensors(path).unwrap();
    for (name, tensor) in &mut tensors {
        match name.as_str() {
            "fc.weight" => *tensor = &*tensor * scale,
            "fc.bias" => *tensor = (&*tensor - &mean) * scale,
            _ => {}
        }
    }
    Tensor::write_safetensors(&tensors, path).unwrap();
}
