//! The beginning of a transformer.

use anyhow::Result;
use ddrs_common::architecture::Tokens;
use tch::{TchError, Tensor};

use crate::model::tokens::tokens;
use crate::model::{Arithmetic, WeightMap};

/// Turns patches into tokens: see [`tokens`].
#[derive(Debug)]
pub(super) struct PositionLayer {
    class_token: Tensor,
    positions: Tensor,
    side: u32,
}

impl PositionLayer {
    pub(super) fn new(spec: &Tokens, weights: &WeightMap, arithmetic: Arithmetic) -> Result<Self> {
        Ok(Self {
            class_token: arithmetic.convert(&weights.get(&spec.class_token)?)?,
            positions: arithmetic.convert(&weights.get(&spec.positions)?)?,
            side: spec.side,
        })
    }

    pub(super) fn forward(&self, patches: &Tensor) -> Result<Tensor, TchError> {
        tokens(patches, &self.class_token, &self.positions, self.side)
    }

    /// Returns the same layer for another thread. The weights are not copied.
    pub(super) fn share(&self) -> Self {
        Self {
            class_token: self.class_token.shallow_clone(),
            positions: self.positions.shallow_clone(),
            side: self.side,
        }
    }
}
