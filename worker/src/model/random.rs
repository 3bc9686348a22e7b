//! Networks with random weights: to try a cluster, or measure speed, before the model is there.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use ddrs_common::architecture::{Architecture, Shape};
use ddrs_common::domain::{Phase, SampleIndex, VariantName};
use ddrs_common::spec::{ModelSource, ModelSpec, Precision};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use safetensors::tensor::{Dtype, TensorView};
use tch::{Device, Kind, Tensor};

use super::{brief, load};
use crate::noise::NoiseSource;

/// Noise draws whose mean scores [`centre`] subtracts.
const CENTRING_DRAWS: i64 = 16;

/// Writes a safetensors file with every tensor of the architecture: convolutions as He et al. 2015
/// initialise them, batch normalisations that pass their input on.
///
/// # Errors
/// When the architecture has no fixed shapes, or the file cannot be written.
pub fn random_weights(
    architecture: Architecture,
    classes: u32,
    seed: u64,
    path: &Path,
) -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut tensors = Vec::new();
    for parameter in architecture.parameters(classes) {
        let Shape::Exact(shape) = parameter.shape else {
            anyhow::bail!("{architecture} has no fixed shapes to fill");
        };
        let size = shape.iter().product::<u64>();
        let inputs: u64 = shape.iter().skip(1).product();
        let name = parameter.name;
        let constant = match name.rsplit('.').next() {
            Some("running_var") => Some(1.0),
            Some("weight") if shape.len() == 1 => Some(1.0),
            Some("weight") => None,
            _ => Some(0.0),
        };
        let deviation = (2.0 / inputs as f32).sqrt();
        let value =
            |_| constant.unwrap_or_else(|| deviation * rng.sample::<f32, _>(StandardNormal));
        let bytes: Vec<u8> = (0..size).map(value).flat_map(f32::to_le_bytes).collect();
        tensors.push((
            name,
            shape.iter().map(|&side| side as usize).collect::<Vec<_>>(),
            bytes,
        ));
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        Ok((
            name.as_str(),
            TensorView::new(Dtype::F32, shape.clone(), bytes).context("a tensor")?,
        ))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([("architecture".to_owned(), architecture.to_string())]);
    safetensors::serialize_to_file(views, Some(metadata), path)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Moves the last layer of a file of random weights so that no class wins everywhere: scores lose
/// their mean over some draws around an image of a fixed pattern, and noise decides.
///
/// # Errors
/// When the file is not of this architecture, or cannot be written.
pub fn centre(architecture: Architecture, classes: u32, path: &Path) -> Result<ModelSpec> {
    let spec = ModelSpec {
        name: architecture.to_string(),
        path: path.to_owned(),
        source: ModelSource::Safetensors(architecture),
        classes,
        mean: Some(vec![0.5; 3]),
        std: Some(vec![0.25; 3]),
        precision: Precision::Fp32,
    };
    let network = load(&spec, Device::Cpu)?;
    let images = noisy_pattern(architecture, CENTRING_DRAWS)?;
    let scores = tch::no_grad(|| network.scores(&images)).map_err(brief)?;
    let mean = scores
        .f_to_kind(Kind::Double)?
        .f_mean_dim(0, false, Kind::Double)?
        .f_to_kind(Kind::Float)?;
    let mut tensors = Tensor::read_safetensors(path)?;
    for (name, tensor) in &mut tensors {
        if name == "fc.bias" {
            *tensor = tensor.f_sub(&mean)?;
        }
    }
    Tensor::write_safetensors(&tensors, path)?;
    Ok(spec)
}

/// How many classes and pixels a side the networks of an architecture usually have.
pub fn usual_size(architecture: Architecture) -> (u32, usize) {
    match architecture {
        Architecture::CifarResnet { .. } => (10, 32),
        _ => (1000, 224),
    }
}

/// Draws around an image of a fixed pattern, at sigma 0.5.
pub fn noisy_pattern(architecture: Architecture, draws: i64) -> Result<Tensor> {
    let (_, side) = usual_size(architecture);
    let pixels: Vec<f32> = (0..3 * side * side)
        .map(|place| (place * 7 % 256) as f32 / 255.0)
        .collect();
    noisy_images(&pixels, [3, side, side], SampleIndex(0), 0.5, draws)
}

/// The draws that would certify this image, as the CPU makes them, in channels-last order.
pub fn noisy_images(
    pixels: &[f32],
    [channels, height, width]: [usize; 3],
    index: SampleIndex,
    sigma: f64,
    draws: i64,
) -> Result<Tensor> {
    let variant = VariantName::new("compare");
    let key = NoiseSource {
        seed: 0,
        variant: &variant,
        index,
    }
    .chunk(Phase::Estimate, 0);
    let shape = [draws, channels as i64, height as i64, width as i64];
    let (scale, mut batch) = (
        vec![sigma as f32; pixels.len()],
        vec![0f32; draws as usize * pixels.len()],
    );
    for (image, draw) in batch.chunks_exact_mut(pixels.len()).zip(0..) {
        key.noisy(draw, pixels, &scale, image);
    }
    let batch = Tensor::f_from_slice(&batch)?.f_view(shape)?;
    Ok(batch
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()?
        .f_permute([0, 3, 1, 2])?)
}
