//! A residual network that learns: batch normalisation apart from the convolutions,
//! single-precision weights, and passes in the precision that the specification asks for.

mod initial;
mod values;

pub use values::{copy, flat};

use std::collections::HashMap;

use ddrs_common::architecture::{ConvNorm, MaxPool, ResidualBlock, ResnetLayout};
use tch::{Device, Kind, TchError, Tensor};

/// What torch's `BatchNorm2d` moves its running statistics by.
const NORM_MOMENTUM: f64 = 0.1;

/// How a pass treats the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Weights take part in gradients; batch normalisation uses the batch's statistics and moves
    /// its own.
    Learning,
    /// Nothing of the network changes or takes part in gradients: running statistics, weights as
    /// constants.
    Frozen,
}

/// A network and its state.
#[derive(Debug)]
pub struct Network {
    layout: ResnetLayout,
    /// By canonical name: views of `learned` and `statistics`.
    tensors: HashMap<String, Tensor>,
    /// In the order of [`Architecture::parameters`].
    names: Vec<String>,
    /// All that learns, one weight after another: an optimiser moves it in a few calls, however
    /// many layers there are.
    learned: Tensor,
    /// All running statistics, likewise.
    statistics: Tensor,
    normalisation: Option<(Tensor, Tensor)>,
    /// Of passes; weights are kept in single precision, or double in a double-precision network.
    kind: Kind,
    /// Whether convolutions are computed in single precision, between numbers of `kind`: see
    /// [`crate::model::wide`].
    wide: bool,
}

/// Where and in what kind of number.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    /// Where all tensors are.
    pub device: Device,
    /// What weights and statistics are kept in.
    pub weights: Kind,
    /// What passes compute in.
    pub passes: Kind,
}

impl Network {
    /// Subtracts `mean` from each channel of what it is given, and divides by `std`.
    ///
    /// # Errors
    /// What torch reports.
    pub fn normalised(mut self, mean: &[f64], std: &[f64]) -> Result<Self, TchError> {
        let of = &self.tensors["fc.weight"];
        let channels = |values: &[f64]| {
            Tensor::f_from_slice(values)?
                .f_view([1, -1, 1, 1])?
                .f_to_kind(of.kind())?
                .f_to(of.device())
        };
        self.normalisation = Some((channels(mean)?, channels(std)?));
        Ok(self)
    }

    /// Scores of shape (B, classes), in single precision or better, for images of shape (B,
    /// channels, height, width).
    ///
    /// # Errors
    /// What torch reports.
    pub fn scores(&self, images: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let images = match &self.normalisation {
            Some((mean, std)) => images.f_sub(mean)?.f_div(std)?,
            None => images.shallow_clone(),
        };
        let images = channels_last(&images.f_to_kind(self.kind)?)?;
        let mut x = self
            .conv_norm(&self.layout.stem, &images, mode)?
            .f_relu_()?;
        if let Some(MaxPool {
            kernel,
            stride,
            padding,
        }) = self.layout.max_pool
        {
            let square = |size: u32| [i64::from(size); 2];
            x = x.f_max_pool2d(
                square(kernel),
                square(stride),
                square(padding),
                [1, 1],
                false,
            )?;
        }
        for block in &self.layout.blocks {
            x = self.block(block, &x, mode)?;
        }
        let features = x.f_mean_dim([2, 3].as_slice(), false, None)?;
        let (weight, bias) = (
            self.weight("fc.weight", mode)?,
            self.weight("fc.bias", mode)?,
        );
        features
            .f_linear(&weight, Some(&bias))?
            .f_to_kind(self.tensors["fc.weight"].kind())
    }

    fn block(&self, block: &ResidualBlock, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let (last, first) = block
            .path
            .split_last()
            .ok_or_else(|| TchError::Shape("a block without layers".into()))?;
        let mut y = x.shallow_clone();
        for conv in first {
            y = self.conv_norm(conv, &y, mode)?.f_relu_()?;
        }
        let mut y = self.conv_norm(last, &y, mode)?;
        let mut y = match &block.shortcut {
            Some(shortcut) => y.f_add_(&self.conv_norm(shortcut, x, mode)?)?,
            None => y.f_add_(x)?,
        };
        y.f_relu_()
    }

    fn conv_norm(&self, spec: &ConvNorm, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let (stride, padding) = ([i64::from(spec.stride); 2], [i64::from(spec.padding); 2]);
        let weight = self.weight(&format!("{}.weight", spec.conv), mode)?;
        let inside = |tensor: &Tensor| {
            if self.wide {
                tensor.f_to_kind(Kind::Float)
            } else {
                Ok(tensor.shallow_clone())
            }
        };
        let x = inside(x)?
            .f_conv2d(
                &inside(&weight)?,
                None::<&Tensor>,
                stride,
                padding,
                [1, 1],
                1,
            )?
            .f_to_kind(self.kind)?;
        let part = |part: &str| {
            let tensor = &self.tensors[&format!("{}.{part}", spec.norm)];
            if mode == Mode::Frozen {
                tensor.f_detach()
            } else {
                Ok(tensor.shallow_clone())
            }
        };
        let (mean, variance) = (Some(part("running_mean")?), Some(part("running_var")?));
        let learning = mode == Mode::Learning;
        let (weight, bias) = (Some(part("weight")?), Some(part("bias")?));
        x.f_batch_norm(
            weight,
            bias,
            mean,
            variance,
            learning,
            NORM_MOMENTUM,
            ConvNorm::EPSILON,
            true,
        )
    }

    /// A weight as a pass computes with it.
    fn weight(&self, name: &str, mode: Mode) -> Result<Tensor, TchError> {
        let weight = &self.tensors[name];
        if mode == Mode::Frozen {
            weight.f_detach()?.f_to_kind(self.kind)
        } else {
            weight.f_to_kind(self.kind)
        }
    }
}

/// The same values with channels innermost in memory, which is faster on CPUs and in bf16 on GPUs.
/// Tensors without height and width stay as they are.
fn channels_last(tensor: &Tensor) -> Result<Tensor, TchError> {
    if tensor.dim() != 4 {
        return Ok(tensor.shallow_clone());
    }
    tensor
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()?
        .f_permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What one pass over the same images comes to: scores, and gradients of the last convolution
    /// and the one before it.
    fn pass(passes: Kind, wide: bool) -> Vec<Tensor> {
        let numbers = Numbers {
            device: Device::Cpu,
            weights: Kind::Float,
            passes,
        };
        let mut network =
            Network::random("cifar-resnet20".parse().unwrap(), 10, 1, numbers).unwrap();
        network.wide = wide;
        let images = Tensor::arange(8 * 3 * 32 * 32, (Kind::Float, Device::Cpu))
            .view([8, 3, 32, 32])
            .sin();
        let scores = network.scores(&images, Mode::Learning).unwrap();
        let loss = scores.cross_entropy_for_logits(&Tensor::arange(8, (Kind::Int64, Device::Cpu)));
        let weights =
            ["layer3.2.conv2.weight", "layer3.2.conv1.weight"].map(|name| &network.tensors[name]);
        let mut all = Tensor::f_run_backward(&[&loss], &weights, false, false).unwrap();
        all.push(scores.detach());
        all
    }

    #[test]
    fn wide_convolutions_of_bf16_are_as_near_to_single_precision_as_torchs_own() {
        let apart =
            |a: &Tensor, b: &Tensor| (a - b).norm().double_value(&[]) / b.norm().double_value(&[]);
        let (exact, wide, own) = (
            pass(Kind::Float, false),
            pass(Kind::BFloat16, true),
            pass(Kind::BFloat16, false),
        );
        for ((wide, own), exact) in wide.iter().zip(&own).zip(&exact) {
            let (wide, own) = (apart(wide, exact), apart(own, exact));
            assert!(wide > 0.0 && wide < 1.5 * own, "{wide} {own}");
        }
    }
}
