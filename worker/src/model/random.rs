//! Networks with random weights, for trying a cluster or measuring speed before a trained model
//! exists.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use ddrs_common::architecture::{Architecture, Layers, Parameter, Shape};
use ddrs_common::spec::{ModelSource, ModelSpec, Precision};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use safetensors::tensor::{Dtype, TensorView};
use tch::{Device, Kind, Tensor};

use super::initial::InitialValue;
use super::load;
use super::synthetic::noisy_pattern;
use crate::failure::brief;

/// The number of noise draws whose mean scores [`centre`] subtracts.
const CENTRING_DRAWS: i64 = 16;

/// Writes a safetensors file with every tensor of the architecture: convolutions as in He et al.
/// (2015), and batch normalisations that do not change their input.
///
/// # Errors
/// When the architecture has no fixed shapes, or the file cannot be written.
pub fn random_weights(
    architecture: Architecture,
    classes: u32,
    seed: u64,
    path: &Path,
) -> Result<()> {
    let tensors = draw_tensors(architecture, classes, seed)
        .with_context(|| format!("cannot draw weights for {architecture}"))?;
    let metadata = HashMap::from([("architecture".to_owned(), architecture.to_string())]);
    let views = tensors.iter().map(RandomTensor::view);
    let views = views.collect::<Result<Vec<_>>>()?;
    safetensors::serialize_to_file(views, Some(metadata), path)
        .with_context(|| format!("cannot write {}", path.display()))
}

fn draw_tensors(architecture: Architecture, classes: u32, seed: u64) -> Result<Vec<RandomTensor>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let parameters = architecture.parameters(classes).into_iter();
    parameters
        .map(|parameter| RandomTensor::draw(parameter, &mut rng))
        .collect()
}

/// Changes the last layer of a file of random weights so that no class wins everywhere. The scores
/// lose their mean over some draws around an image of a fixed pattern, and the noise decides.
///
/// # Errors
/// When the file has another architecture or cannot be written.
pub fn centre(architecture: Architecture, classes: u32, path: &Path) -> Result<ModelSpec> {
    let spec = random_spec(architecture, classes, path);
    let layers = architecture.layers(classes);
    if let Some(last) = layers.as_ref().and_then(Layers::classifier) {
        let bias = format!("{}.bias", last.name);
        subtract(path, &bias, &mean_scores(&spec, architecture)?)?;
    }
    Ok(spec)
}

fn mean_scores(spec: &ModelSpec, architecture: Architecture) -> Result<Tensor> {
    let network = load(spec, Device::Cpu)?;
    let images = noisy_pattern(architecture, CENTRING_DRAWS)?;
    let scores = tch::no_grad(|| network.scores(&images)).map_err(brief)?;
    let scores = scores.f_to_kind(Kind::Double)?;
    let mean = scores.f_mean_dim(0, false, Kind::Double)?;
    Ok(mean.f_to_kind(Kind::Float)?)
}

fn random_spec(architecture: Architecture, classes: u32, path: &Path) -> ModelSpec {
    ModelSpec {
        name: architecture.to_string(),
        path: path.to_owned(),
        source: ModelSource::Safetensors(architecture),
        weights: None,
        classes,
        mean: Some(vec![0.5; 3]),
        std: Some(vec![0.25; 3]),
        precision: Precision::Fp32,
        options: architecture.usual_options(),
    }
}

fn subtract(path: &Path, bias: &str, mean: &Tensor) -> Result<()> {
    let mut tensors = Tensor::read_safetensors(path)?;
    for (name, tensor) in &mut tensors {
        if name == bias {
            *tensor = tensor.f_sub(mean)?;
        }
    }
    Tensor::write_safetensors(&tensors, path)?;
    Ok(())
}

struct RandomTensor {
    name: String,
    shape: Vec<usize>,
    /// Little-endian fp32 values.
    bytes: Vec<u8>,
}

impl RandomTensor {
    fn draw(Parameter { name, shape }: Parameter, rng: &mut ChaCha8Rng) -> Result<Self> {
        let Shape::Exact(shape) = shape else {
            bail!("tensor {name} has no fixed shape");
        };
        let size = shape.iter().product::<u64>();
        let initial = InitialValue::of(&name, &shape);
        let values = (0..size).map(|_| draw_value(initial, rng));
        Ok(Self {
            bytes: values.flat_map(f32::to_le_bytes).collect(),
            shape: shape.iter().map(|&side| side as usize).collect(),
            name,
        })
    }

    fn view(&self) -> Result<(&str, TensorView<'_>)> {
        let view = TensorView::new(Dtype::F32, self.shape.clone(), &self.bytes);
        Ok((&self.name, view.with_context(|| self.name.clone())?))
    }
}

fn draw_value(initial: InitialValue, rng: &mut ChaCha8Rng) -> f32 {
    match initial {
        InitialValue::Zero => 0.0,
        InitialValue::One => 1.0,
        InitialValue::He { inputs } => {
            (2.0 / inputs as f32).sqrt() * rng.sample::<f32, _>(StandardNormal)
        }
    }
}
