//! A convolution with its batch normalisation folded in.

use std::cell::RefCell;

use anyhow::Result;
use ddrs_common::architecture::ConvNorm;
use tch::{TchError, Tensor};

use super::super::fused::Fusion;
use super::super::{Arithmetic, WeightMap, channels_last, operand, square};

/// A convolution's weight in oneDNN's memory order for inputs of one shape. The best order depends
/// on the shape.
pub(super) type PackedWeight = RefCell<Option<(Vec<i64>, Tensor)>>;

/// A convolution that includes the batch normalisation after it.
#[derive(Debug)]
pub(in crate::model) struct FoldedConv {
    /// In channels-last order.
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) stride: [i64; 2],
    pub(super) padding: [i64; 2],
    pub(super) tf32: bool,
    /// True if weight and bias, and the inside of the convolution, are in single precision: see
    /// [`crate::model::emulates_bf16`].
    pub(super) emulates_bf16: bool,
    /// Present where the rule allows a fused cuDNN call.
    pub(super) fusion: Option<Fusion>,
    /// The weight as oneDNN's kernel reads it.
    pub(super) packed: PackedWeight,
}

impl FoldedConv {
    pub(super) fn fold(
        spec: &ConvNorm,
        weights: &WeightMap,
        arithmetic: Arithmetic,
    ) -> Result<Self> {
        let (weight, bias) = fold_normalisation(spec, weights)?;
        let weight = channels_last(&arithmetic.convert_operand(&weight)?)?;
        let bias = arithmetic.convert_operand(&bias)?;
        Ok(Self {
            fusion: Fusion::for_layer(arithmetic, [&weight, &bias]),
            weight,
            bias,
            stride: square(spec.stride),
            padding: square(spec.padding),
            tf32: arithmetic.tf32,
            emulates_bf16: arithmetic.emulates_bf16,
            packed: PackedWeight::default(),
        })
    }

    /// Computes the same as `conv2d`, with fixed, deterministic algorithms in the given precision.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let y = self.operand(x)?.f_internal_convolution(
            &self.weight,
            Some(&self.bias),
            self.stride,
            self.padding,
            [1, 1],
            false,
            [0, 0],
            1,
            false,
            true,
            true,
            self.tf32,
        )?;
        y.f_to_kind(x.kind())
    }

    /// Returns `x` in the kind of number that the convolution reads.
    pub(super) fn operand(&self, x: &Tensor) -> Result<Tensor, TchError> {
        operand(x, self.emulates_bf16)
    }

    /// Computes relu(conv(x) + z), fused where [`Fusion`] allows it.
    pub(super) fn relu(&self, x: &Tensor, z: Option<&Tensor>) -> Result<Tensor, TchError> {
        match &self.fusion {
            Some(fusion) if !x.requires_grad() => {
                fusion.run(x, |x| self.fused_relu(x, z), |x| self.plain_relu(x, z))
            }
            _ => self.plain_relu(x, z),
        }
    }

    fn plain_relu(&self, x: &Tensor, z: Option<&Tensor>) -> Result<Tensor, TchError> {
        let mut y = self.forward(x)?;
        if let Some(z) = z {
            y = y.f_add_(z)?;
        }
        y.f_relu_()
    }

    fn fused_relu(&self, x: &Tensor, z: Option<&Tensor>) -> Result<Tensor, TchError> {
        let Self {
            weight,
            stride,
            padding,
            ..
        } = self;
        let bias = Some(&self.bias);
        match z {
            None => x.f_cudnn_convolution_relu(weight, bias, stride, padding, [1, 1], 1),
            Some(z) => {
                x.f_cudnn_convolution_add_relu(weight, z, 1.0, bias, stride, padding, [1, 1], 1)
            }
        }
    }

    /// Returns the same convolution for another thread. The weights are not copied.
    pub(super) fn share(&self) -> Self {
        Self {
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
            fusion: self.fusion.clone(),
            packed: PackedWeight::default(),
            ..*self
        }
    }
}

/// Folds y = gamma · (conv(x) - mean) / sqrt(var + epsilon) + beta into the weight and the bias of
/// one convolution, in double precision.
fn fold_normalisation(spec: &ConvNorm, weights: &WeightMap) -> Result<(Tensor, Tensor)> {
    let scale = scale(spec, weights)?;
    let weight = weights.get(&format!("{}.weight", spec.conv))?;
    let weight = weight.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
    let mean = norm(spec, "running_mean", weights)?.f_mul(&scale)?;
    let bias = norm(spec, "bias", weights)?.f_sub(&mean)?;
    Ok((weight, bias))
}

/// Returns gamma / sqrt(var + epsilon).
fn scale(spec: &ConvNorm, weights: &WeightMap) -> Result<Tensor> {
    let variance = norm(spec, "running_var", weights)?.f_add_scalar(ConvNorm::EPSILON)?;
    Ok(norm(spec, "weight", weights)?.f_div(&variance.f_sqrt()?)?)
}

fn norm(spec: &ConvNorm, part: &str, weights: &WeightMap) -> Result<Tensor> {
    weights.get(&format!("{}.{part}", spec.norm))
}
