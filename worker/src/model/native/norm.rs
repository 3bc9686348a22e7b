//! Normalisations that no convolution takes in.

use anyhow::Result;
use ddrs_common::architecture::{Activation, LayerNorm, Norm};
use tch::{Kind, TchError, Tensor};

use crate::model::activation::activate;
use crate::model::{Arithmetic, WeightMap};

/// Batch normalisation with its running statistics, and its activation.
#[derive(Debug)]
pub(super) struct NormLayer {
    /// Weight, bias, running mean and running variance, in single precision.
    parts: [Tensor; 4],
    epsilon: f64,
    activation: Activation,
}

impl NormLayer {
    pub(super) fn new(spec: &Norm, weights: &WeightMap, arithmetic: Arithmetic) -> Result<Self> {
        let name = &spec.norm.name;
        let part = |part: &str| single(weights, &format!("{name}.{part}"), arithmetic);
        Ok(Self {
            parts: [
                part("weight")?,
                part("bias")?,
                part("running_mean")?,
                part("running_var")?,
            ],
            epsilon: spec.norm.epsilon,
            activation: spec.activation,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let [weight, bias, mean, variance] = self.parts.each_ref().map(Some);
        let y = x.f_batch_norm(weight, bias, mean, variance, false, 0.0, self.epsilon, true)?;
        activate(self.activation, y)
    }

    /// Returns the same layer for another thread. The weights are not copied.
    pub(super) fn share(&self) -> Self {
        Self {
            parts: self.parts.each_ref().map(Tensor::shallow_clone),
            ..*self
        }
    }
}

/// Normalisation of each token over its values.
#[derive(Debug)]
pub(super) struct TokenNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl TokenNorm {
    pub(super) fn new(
        spec: &LayerNorm,
        weights: &WeightMap,
        arithmetic: Arithmetic,
    ) -> Result<Self> {
        let tensor = |part: &str| weights.get(&format!("{}.{part}", spec.name));
        Ok(Self {
            weight: arithmetic.convert(&tensor("weight")?)?,
            bias: arithmetic.convert(&tensor("bias")?)?,
            epsilon: spec.epsilon,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let width = self.weight.size();
        let [weight, bias] = [&self.weight, &self.bias].map(Some);
        x.f_layer_norm(width, weight, bias, self.epsilon, true)
    }

    /// Returns the same layer for another thread. The weights are not copied.
    pub(super) fn share(&self) -> Self {
        Self {
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
            epsilon: self.epsilon,
        }
    }
}

fn single(weights: &WeightMap, name: &str, arithmetic: Arithmetic) -> Result<Tensor> {
    let tensor = weights.get(name)?.f_to_kind(Kind::Float)?;
    Ok(tensor.f_to(arithmetic.device)?)
}
