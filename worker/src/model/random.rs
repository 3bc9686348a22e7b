//! Networks with random weights: to try a cluster, or measure speed, before the model is there.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use ddrs_common::architecture::{Architecture, Shape};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use safetensors::tensor::{Dtype, TensorView};

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
