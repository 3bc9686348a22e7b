//! The linear model whose smoothed radius is known: |w·x + b| / |w| for every sigma.

use anyhow::{Context, Result, ensure};
use tch::{Kind, TchError, Tensor};

use super::{Arithmetic, Classifier, Normalisation, WeightMap};

/// A network with the scores 0 and w·x + b. It returns class 1 where w·x + b > 0, else class 0,
/// which is the first of equal scores.
#[derive(Debug)]
pub(super) struct HalfSpaceNetwork {
    weight: Tensor,
    bias: Tensor,
}

impl HalfSpaceNetwork {
    /// Takes `weight` (d) and `bias` (1).
    ///
    /// # Errors
    /// When a tensor is missing, or the specification asks for something that would change the
    /// model's radius or its exact arithmetic: a normalisation, or a precision other than fp32.
    pub(super) fn load(
        weights: &WeightMap,
        arithmetic: Arithmetic,
        normalisation: &Normalisation,
    ) -> Result<Self> {
        check_exactness(arithmetic, normalisation)?;
        let tensor = |name| anyhow::Ok(arithmetic.convert(&weights.get(name)?)?);
        Ok(Self {
            weight: tensor("weight").context("half-space")?,
            bias: tensor("bias").context("half-space")?,
        })
    }
}

fn check_exactness(arithmetic: Arithmetic, normalisation: &Normalisation) -> Result<()> {
    ensure!(
        arithmetic.kind == Kind::Float && !arithmetic.tf32,
        "a half-space is computed in fp32 only"
    );
    ensure!(
        normalisation.0.is_none(),
        "a half-space takes no mean and std: they would change its radius"
    );
    Ok(())
}

impl Classifier for HalfSpaceNetwork {
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
