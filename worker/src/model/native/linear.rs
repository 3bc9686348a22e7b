//! A linear layer and its activation.

use anyhow::Result;
use ddrs_common::architecture::{Activation, Linear};
use tch::{TchError, Tensor};

use crate::model::activation::activate;
use crate::model::{Arithmetic, WeightMap};

/// A linear layer with its weights.
#[derive(Debug)]
pub(super) struct LinearLayer {
    weight: Tensor,
    bias: Tensor,
    activation: Activation,
}

impl LinearLayer {
    pub(super) fn new(spec: &Linear, weights: &WeightMap, arithmetic: Arithmetic) -> Result<Self> {
        let tensor = |part: &str| weights.get(&format!("{}.{part}", spec.name));
        Ok(Self {
            weight: arithmetic.convert(&tensor("weight")?)?,
            bias: arithmetic.convert(&tensor("bias")?)?,
            activation: spec.activation,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        activate(self.activation, self.multiply(x)?)
    }

    /// Returns activation(linear(x) + other).
    pub(super) fn add_to(&self, x: &Tensor, other: &Tensor) -> Result<Tensor, TchError> {
        activate(self.activation, self.multiply(x)?.f_add_(other)?)
    }

    fn multiply(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&self.weight, Some(&self.bias))
    }

    /// Returns the same layer for another thread. The weights are not copied.
    pub(super) fn share(&self) -> Self {
        Self {
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
            activation: self.activation,
        }
    }
}
