//! A layer with weights, as inference computes with it.

use anyhow::Result;
use ddrs_common::architecture::Unit;
use tch::{TchError, Tensor};

use super::conv::FoldedConv;
use super::linear::LinearLayer;
use super::norm::{NormLayer, TokenNorm};
use super::positions::PositionLayer;
use crate::model::{Arithmetic, WeightMap};

/// A layer with its weights on the network's device.
#[derive(Debug)]
pub(super) enum NativeUnit {
    Conv(FoldedConv),
    Norm(NormLayer),
    Linear(LinearLayer),
    LayerNorm(TokenNorm),
    Tokens(PositionLayer),
}

impl NativeUnit {
    pub(super) fn build(unit: &Unit, weights: &WeightMap, arithmetic: Arithmetic) -> Result<Self> {
        Ok(match unit {
            Unit::Conv(conv) => Self::Conv(FoldedConv::fold(conv, weights, arithmetic)?),
            Unit::Norm(norm) => Self::Norm(NormLayer::new(norm, weights, arithmetic)?),
            Unit::Linear(linear) => Self::Linear(LinearLayer::new(linear, weights, arithmetic)?),
            Unit::LayerNorm(norm) => Self::LayerNorm(TokenNorm::new(norm, weights, arithmetic)?),
            Unit::Tokens(tokens) => Self::Tokens(PositionLayer::new(tokens, weights, arithmetic)?),
        })
    }

    /// Computes the layer by torch operations, and by cuDNN's fused calls where
    /// [`crate::model::fused::Fusion`] allows them.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Conv(conv) => conv.forward(x, None),
            Self::Norm(norm) => norm.forward(x),
            Self::Linear(linear) => linear.forward(x),
            Self::LayerNorm(norm) => norm.forward(x),
            Self::Tokens(tokens) => tokens.forward(x),
        }
    }

    /// Returns activation(layer(x) + other).
    pub(super) fn forward_and_add(&self, x: &Tensor, other: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Conv(conv) => conv.forward(x, Some(other)),
            Self::Linear(linear) => linear.add_to(x, other),
            // Layers without an activation.
            _ => self.forward(x)?.f_add_(other),
        }
    }

    pub(super) fn convolution(&self) -> Option<&FoldedConv> {
        match self {
            Self::Conv(conv) => Some(conv),
            _ => None,
        }
    }

    /// Returns the same layer for another thread. The weights are not copied.
    pub(super) fn share(&self) -> Self {
        match self {
            Self::Conv(conv) => Self::Conv(conv.share()),
            Self::Norm(norm) => Self::Norm(norm.share()),
            Self::Linear(linear) => Self::Linear(linear.share()),
            Self::LayerNorm(norm) => Self::LayerNorm(norm.share()),
            Self::Tokens(tokens) => Self::Tokens(tokens.share()),
        }
    }
}
