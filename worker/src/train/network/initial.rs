//! What a network begins with.

use anyhow::{Context, Result};
use ddrs_common::architecture::{Architecture, Parameter, Shape};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tch::Tensor;

use super::{Network, Numbers};
use crate::model::wide;

impl Network {
    /// A network with random weights: convolutions as He et al. (2015) initialise them, the last
    /// layer uniformly.
    ///
    /// # Errors
    /// When the architecture has no layers to train, and what torch reports.
    pub fn random(
        architecture: Architecture,
        classes: u32,
        seed: u64,
        numbers: Numbers,
    ) -> Result<Self> {
        let layout = architecture
            .layout()
            .with_context(|| format!("{architecture} has nothing to train"))?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut tensors = Vec::new();
        for Parameter { name, shape } in architecture.parameters(classes) {
            let Shape::Exact(shape) = shape else {
                anyhow::bail!("{architecture} has no fixed shapes")
            };
            let values = initial(&name, &shape, layout.features, &mut rng);
            let shape: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
            let tensor = Tensor::f_from_slice(&values)?.f_view(&shape[..])?;
            tensors.push((
                name,
                tensor.f_to_kind(numbers.weights)?.f_to(numbers.device)?,
            ));
        }
        let kind = numbers.passes;
        Ok(Self::assemble(
            layout,
            tensors,
            kind,
            wide(kind, numbers.device),
        )?)
    }
}

fn initial(name: &str, shape: &[u64], features: u32, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let size = shape.iter().product::<u64>();
    if name.starts_with("fc.") {
        let bound = f64::from(features).sqrt().recip();
        return (0..size).map(|_| rng.random_range(-bound..bound)).collect();
    }
    if shape.len() == 1 {
        let value = if name.ends_with(".weight") || name.ends_with(".running_var") {
            1.0
        } else {
            0.0
        };
        return vec![value; size as usize];
    }
    let inputs: u64 = shape[1..].iter().product();
    let deviation = (2.0 / inputs as f64).sqrt();
    (0..size)
        .map(|_| deviation * rng.sample::<f64, _>(StandardNormal))
        .collect()
}
