//! A layer with weights, as inference computes with it.

use anyhow::Result;
use ddrs_common::architecture::Unit;

use super::conv::FoldedConv;
use super::linear::LinearLayer;
use crate::model::{Arithmetic, WeightMap};

/// A layer with its weights on the network's device.
#[derive(Debug)]
pub(super) enum NativeUnit {
    Conv(FoldedConv),
    Linear(LinearLayer),
}

impl NativeUnit {
    pub(super) fn build(unit: &Unit, weights: &WeightMap, arithmetic: Arithmetic) -> Result<Self> {
        Ok(match unit {
            Unit::Conv(conv) => Self::Conv(FoldedConv::fold(conv, weights, arithmetic)?),
            Unit::Linear(linear) => Self::Linear(LinearLayer::new(linear, weights, arithmetic)?),
        })
    }

    pub(super) fn convolution(&self) -> Option<&FoldedConv> {
        match self {
            Self::Conv(conv) => Some(conv),
            Self::Linear(_) => None,
        }
    }

    /// Returns the same layer for another thread. The weights are not copied.
    pub(super) fn share(&self) -> Self {
        match self {
            Self::Conv(conv) => Self::Conv(conv.share()),
            Self::Linear(linear) => Self::Linear(linear.share()),
        }
    }
}
