//! The linear model whose smoothed radius is known: |w·x + b| / |w| for every sigma.

use std::path::Path;

use anyhow::{Context, Result};
use tch::{Device, Kind, TchError, Tensor};

use super::{Classifier, Weights};

/// Scores 0 and w·x + b: class 1 where w·x + b > 0.
#[derive(Debug)]
pub struct HalfSpace {
    weight: Tensor,
    bias: Tensor,
}

impl HalfSpace {
    /// Reads `weight` (d) and `bias` (1).
    ///
    /// # Errors
    /// When the file has no such tensors.
    pub fn load(path: &Path, device: Device) -> Result<Self> {
        let weights = Weights::read(path)?;
        let get = |name| weights.get(name).map(|tensor| tensor.to_kind(Kind::Float).to(device));
        Ok(Self { weight: get("weight").context("half-space")?, bias: get("bias").context("half-space")? })
    }
}

impl Classifier for HalfSpace {
    fn scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let distance = images.f_reshape([images.size()[0], -1])?.f_matmul(&self.weight)?.f_add(&self.bias)?;
        Tensor::f_stack(&[distance.f_zeros_like()?, distance], 1)
    }
}
