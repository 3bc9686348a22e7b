//! The initial weights of a network.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use ddrs_common::architecture::{Architecture, Layers, Parameter, Shape, Unit, canonical_name};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tch::{TchError, Tensor};

use super::values::{NamedTensor, copy};
use super::{Numerics, TrainableNetwork};
use crate::model::{InitialValue, emulates_bf16};

impl TrainableNetwork {
    /// Builds a network with random weights: convolutions as in He et al. (2015), the linear layer
    /// uniform.
    ///
    /// # Errors
    /// When the architecture has no layers to train.
    pub(in crate::train) fn random(
        architecture: Architecture,
        classes: u32,
        seed: u64,
        numerics: Numerics,
    ) -> Result<Self> {
        let layers = architecture
            .layers(classes)
            .with_context(|| format!("{architecture} has no layers to train"))?;
        let tensors = random_tensors(&layers, numerics, seed)?;
        let kind = numerics.passes;
        let emulates_bf16 = emulates_bf16(kind, numerics.device);
        Ok(Self::assemble(layers, tensors, kind, emulates_bf16)?)
    }

    /// Takes the weights and statistics of a model file. A last layer for another number of classes
    /// stays as it is.
    ///
    /// # Errors
    /// When the file cannot be read, or is of another architecture.
    pub(in crate::train) fn start_from(
        &mut self,
        path: &Path,
        architecture: Architecture,
    ) -> Result<()> {
        let file = path.display();
        let others = read_tensors(path, architecture);
        let mut others = others.with_context(|| format!("model.initial: {file}"))?;
        for (name, tensor) in self.tensors() {
            let is_last = self.returns_scores(name);
            let fits = others
                .get(name)
                .is_some_and(|other| other.size() == tensor.size());
            if is_last && !fits {
                others.insert(name.to_owned(), copy(tensor)?);
            }
        }
        let loaded = self.load(&others);
        loaded.with_context(|| format!("model.initial: {file} is of another architecture"))
    }

    /// Returns true for a tensor of the last layer.
    fn returns_scores(&self, name: &str) -> bool {
        let parts = name.rsplit_once('.');
        let last = self.layers.classifier();
        parts
            .zip(last)
            .is_some_and(|((layer, _), last)| layer == last.name)
    }
}

fn read_tensors(path: &Path, architecture: Architecture) -> Result<HashMap<String, Tensor>> {
    let tensors = Tensor::read_safetensors(path)?.into_iter();
    let usual = |name: &str| architecture.usual_name(canonical_name(name)).into_owned();
    Ok(tensors
        .map(|(name, tensor)| (usual(&name), tensor))
        .collect())
}

fn random_tensors(layers: &Layers, numerics: Numerics, seed: u64) -> Result<Vec<NamedTensor>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut tensors = Vec::new();
    for unit in layers.units() {
        for parameter in unit.parameters() {
            tensors.push(random_tensor(parameter, unit, numerics, &mut rng)?);
        }
    }
    Ok(tensors)
}

fn random_tensor(
    Parameter { name, shape }: Parameter,
    unit: &Unit,
    numerics: Numerics,
    rng: &mut ChaCha8Rng,
) -> Result<NamedTensor> {
    let Shape::Exact(shape) = shape else {
        bail!("tensor {name} has no fixed shape")
    };
    let values = match unit {
        Unit::Linear(linear) => uniform(&shape, linear.inputs, rng),
        _ => values(InitialValue::of(&name, &shape), &shape, rng),
    };
    Ok((name, to_tensor(&values, &shape, numerics)?))
}

/// Draws the values of a linear layer: uniform within 1 / sqrt(inputs), as in torch's `Linear`.
fn uniform(shape: &[u64], inputs: u32, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let bound = f64::from(inputs).sqrt().recip();
    let size = shape.iter().product::<u64>();
    (0..size).map(|_| rng.random_range(-bound..bound)).collect()
}

fn values(initial: InitialValue, shape: &[u64], rng: &mut ChaCha8Rng) -> Vec<f64> {
    let size = shape.iter().product::<u64>();
    (0..size).map(|_| draw_value(initial, rng)).collect()
}

fn draw_value(initial: InitialValue, rng: &mut ChaCha8Rng) -> f64 {
    match initial {
        InitialValue::Zero => 0.0,
        InitialValue::One => 1.0,
        InitialValue::He { inputs } => draw_he(inputs, rng),
    }
}

/// Draws a value of deviation sqrt(2 / inputs) (He et al. 2015).
fn draw_he(inputs: u64, rng: &mut ChaCha8Rng) -> f64 {
    (2.0 / inputs as f64).sqrt() * rng.sample::<f64, _>(StandardNormal)
}

fn to_tensor(values: &[f64], shape: &[u64], numerics: Numerics) -> Result<Tensor, TchError> {
    Tensor::f_from_slice(values)?
        .f_view(&signed(shape)[..])?
        .f_to_kind(numerics.weights)?
        .f_to(numerics.device)
}

fn signed(shape: &[u64]) -> Vec<i64> {
    shape.iter().map(|&side| side as i64).collect()
}
