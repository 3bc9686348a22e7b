//! The linear model whose smoothed radius is known: |w·x + b| / |w| for every sigma.

use anyhow::{Context, Result, ensure};
use tch::{Kind, TchError, Tensor};

use super::{Arithmetic, Classifier, Normalisation, Weights};

/// Scores 0 and w·x + b: class 1 where w·x + b > 0, else class 0, which is the first of equals.
#[derive(Debug)]
pub struct HalfSpace {
    weight: Tensor,
    bias: Tensor,
}

impl HalfSpace {
    /// Reads `weight` (d) and `bias` (1) from a file's bytes.
    ///
    /// # Errors
    /// When the file has no such tensors, or the specification asks for what would change the
    /// model's radius or exact arithmetic: a normalisation, or a precision other than fp32.
    pub fn load(
        bytes: &[u8],
        arithmetic: Arithmetic,
        normalisation: &Normalisation,
    ) -> Result<Self> {
        ensure!(
            arithmetic.kind == Kind::Float && !arithmetic.tf32,
            "a half-space is computed in fp32 only"
        );
        ensure!(
            normalisation.0.is_none(),
            "a half-space takes no mean and std: they would change its radius"
        );
        let weights = Weights::read(bytes)?;
        let get = |name| -> Result<Tensor> { Ok(arithmetic.take(&weights.get(name)?)?) };
        Ok(Self {
            weight: get("weight").context("half-space")?,
            bias: get("bias").context("half-space")?,
        })
    }
}

impl Classifier for HalfSpace {
    fn scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let distance = images
            .f_reshape([images.size()[0], -1])?
            .f_matmul(&self.weight)?
            .f_add(&self.bias)?;
        Tensor::f_stack(&[distance.f_zeros_like()?, distance], 1)
    }

    fn prepared_scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        self.scores(images)
    }

    fn kind(&self) -> Kind {
        Kind::Float
    }

    fn share(&self) -> Box<dyn Classifier> {
        Box::new(Self {
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
        })
    }
}
