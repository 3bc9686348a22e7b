//! A convolution with its batch normalisation folded in.

use std::cell::RefCell;

use anyhow::Result;
use ddrs_common::architecture::{Activation, BatchNorm, Conv, Padding};
use tch::{TchError, Tensor};

use crate::model::activation::activate;
use crate::model::fused::Fusion;
use crate::model::{Arithmetic, WeightMap, channels_last, operand, padded, square};

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
    pub(super) padding: Padding,
    pub(super) groups: i64,
    pub(super) activation: Activation,
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
    pub(super) fn fold(spec: &Conv, weights: &WeightMap, arithmetic: Arithmetic) -> Result<Self> {
        let (weight, bias) = folded_weights(spec, weights)?;
        let weight = channels_last(&arithmetic.convert_operand(&weight)?)?;
        let bias = arithmetic.convert_operand(&bias)?;
        Ok(Self {
            fusion: fusion(spec.activation, arithmetic, [&weight, &bias]),
            weight,
            bias,
            stride: square(spec.stride),
            padding: spec.padding,
            groups: spec.groups.into(),
            activation: spec.activation,
            tf32: arithmetic.tf32,
            emulates_bf16: arithmetic.emulates_bf16,
            packed: PackedWeight::default(),
        })
    }

    /// Computes the same as `conv2d`, with fixed, deterministic algorithms in the given precision.
    fn convolve(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let kind = x.kind();
        let (x, padding) = self.padded(x)?;
        let y = self.operand(&x)?.f_internal_convolution(
            &self.weight,
            Some(&self.bias),
            self.stride,
            padding,
            [1, 1],
            false,
            [0, 0],
            self.groups,
            false,
            true,
            true,
            self.tf32,
        )?;
        y.f_to_kind(kind)
    }

    /// Returns the images and the number of zeros that the convolution adds on each side.
    pub(super) fn padded(&self, x: &Tensor) -> Result<(Tensor, [i64; 2]), TchError> {
        let kernel = self.weight.size()[2];
        padded(x, self.padding, kernel, self.stride[0])
    }

    /// Returns `x` in the kind of number that the convolution reads.
    pub(super) fn operand(&self, x: &Tensor) -> Result<Tensor, TchError> {
        operand(x, self.emulates_bf16)
    }

    /// Computes activation(conv(x) + z), fused where [`Fusion`] allows it.
    pub(super) fn forward(&self, x: &Tensor, z: Option<&Tensor>) -> Result<Tensor, TchError> {
        match &self.fusion {
            Some(fusion) if !x.requires_grad() => {
                fusion.run(x, |x| self.fused_relu(x, z), |x| self.plain(x, z))
            }
            _ => self.plain(x, z),
        }
    }

    fn plain(&self, x: &Tensor, z: Option<&Tensor>) -> Result<Tensor, TchError> {
        let mut y = self.convolve(x)?;
        if let Some(z) = z {
            y = y.f_add_(z)?;
        }
        activate(self.activation, y)
    }

    pub(super) fn is_followed_by_relu(&self) -> bool {
        self.activation == Activation::Relu
    }

    /// Returns true if cuDNN's fused call was tried at least once and is used.
    pub(super) fn uses_fused_call(&self) -> bool {
        self.fusion.as_ref().is_some_and(Fusion::is_used)
    }

    fn fused_relu(&self, x: &Tensor, z: Option<&Tensor>) -> Result<Tensor, TchError> {
        let (x, padding) = self.padded(x)?;
        let Self {
            weight,
            stride,
            groups,
            ..
        } = self;
        let bias = Some(&self.bias);
        match z {
            None => x.f_cudnn_convolution_relu(weight, bias, stride, padding, [1, 1], *groups),
            Some(z) => x.f_cudnn_convolution_add_relu(
                weight,
                z,
                1.0,
                bias,
                stride,
                padding,
                [1, 1],
                *groups,
            ),
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

/// Applies the rule for fused calls, which cuDNN has for a ReLU only.
fn fusion(activation: Activation, arithmetic: Arithmetic, weights: [&Tensor; 2]) -> Option<Fusion> {
    match activation {
        Activation::Relu => Fusion::for_layer(arithmetic, weights),
        _ => None,
    }
}

/// Returns the weight and the bias of one convolution, in double precision, that includes the
/// normalisation after it.
fn folded_weights(spec: &Conv, weights: &WeightMap) -> Result<(Tensor, Tensor)> {
    let weight = weights.get(&format!("{}.weight", spec.name))?;
    let bias = if spec.bias {
        weights.get(&format!("{}.bias", spec.name))?
    } else {
        Tensor::f_zeros([weight.size()[0]], (weight.kind(), weight.device()))?
    };
    match &spec.norm {
        Some(norm) => fold(norm, weights, [weight, bias]),
        None => Ok((weight, bias)),
    }
}

/// Folds y = gamma · (conv(x) - mean) / sqrt(var + epsilon) + beta.
fn fold(
    norm: &BatchNorm,
    weights: &WeightMap,
    [weight, bias]: [Tensor; 2],
) -> Result<(Tensor, Tensor)> {
    let part = |part: &str| weights.get(&format!("{}.{part}", norm.name));
    let deviation = part("running_var")?.f_add_scalar(norm.epsilon)?.f_sqrt()?;
    let scale = part("weight")?.f_div(&deviation)?;
    let mean = part("running_mean")?.f_sub(&bias)?.f_mul(&scale)?;
    let bias = part("bias")?.f_sub(&mean)?;
    Ok((weight.f_mul(&scale.f_view([-1, 1, 1, 1])?)?, bias))
}
