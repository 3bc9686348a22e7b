//! A linear layer and its activation.

use std::cell::OnceCell;

use anyhow::Result;
use ddrs_common::architecture::{Activation, Linear};
use tch::{TchError, Tensor};

use crate::model::activation::activate;
use crate::model::{Arithmetic, WeightMap, operand};

/// A linear layer with its weights.
#[derive(Debug)]
pub(super) struct LinearLayer {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) activation: Activation,
    /// True if products of tokens are computed in fp32: see [`crate::model::emulates_bf16`].
    emulates_bf16: bool,
    /// The weight as oneDNN's kernel reads it.
    pub(super) packed: OnceCell<Tensor>,
}

impl LinearLayer {
    pub(super) fn new(spec: &Linear, weights: &WeightMap, arithmetic: Arithmetic) -> Result<Self> {
        let tensor = |part: &str| weights.get(&format!("{}.{part}", spec.name));
        Ok(Self {
            weight: arithmetic.convert(&tensor("weight")?)?,
            bias: arithmetic.convert(&tensor("bias")?)?,
            activation: spec.activation,
            emulates_bf16: arithmetic.emulates_bf16,
            packed: OnceCell::new(),
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
        // The one product at the end of a network is not worth it.
        let emulated = self.emulates_bf16 && is_tokens(x);
        let [wide, weight, bias] =
            [x, &self.weight, &self.bias].map(|tensor| operand(tensor, emulated));
        wide?.f_linear(&weight?, Some(&bias?))?.f_to_kind(x.kind())
    }

    /// Returns `x` in the kind of number that a product of tokens reads.
    pub(super) fn operand(&self, x: &Tensor) -> Result<Tensor, TchError> {
        operand(x, self.emulates_bf16)
    }

    /// Returns the same layer for another thread. The weights are not copied.
    pub(super) fn share(&self) -> Self {
        Self {
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
            activation: self.activation,
            emulates_bf16: self.emulates_bf16,
            packed: OnceCell::new(),
        }
    }
}

/// Returns true for the tokens of several images, of shape (B, tokens, width).
pub(super) fn is_tokens(x: &Tensor) -> bool {
    x.dim() == 3
}
