//! Residual networks, built from the same description of their layers that model files are checked against.

mod fused;

use anyhow::{Context, Result};
use ddrs_common::architecture::{Architecture, ConvNorm, MaxPool, ResidualBlock};
use tch::{Device, Kind, TchError, Tensor};

use self::fused::Fused;
use super::{Arithmetic, Classifier, Normalisation, Weights};

/// A residual network for inference: batch normalisation is folded into the convolutions, which are kept in
/// channels-last order.
#[derive(Debug)]
pub struct Resnet {
    normalisation: Normalisation,
    kind: Kind,
    stem: Conv,
    max_pool: Option<MaxPool>,
    blocks: Vec<Block>,
    weight: Tensor,
    bias: Tensor,
    fused: Option<Fused>,
    device: Device,
}

/// relu(path(x) + shortcut(x)).
#[derive(Debug)]
struct Block {
    path: Vec<Conv>,
    shortcut: Option<Conv>,
}

/// A convolution with the batch normalisation that follows it.
#[derive(Debug)]
struct Conv {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: i64,
    tf32: bool,
}

impl Resnet {
    /// Builds the network.
    ///
    /// # Errors
    /// When a tensor is missing.
    pub fn build(
        architecture: Architecture,
        weights: &Weights,
        arithmetic: Arithmetic,
        normalisation: Normalisation,
    ) -> Result<Self> {
        let layout = architecture.layout().with_context(|| format!("{architecture} is no residual network"))?;
        let conv = |spec: &ConvNorm| Conv::fold(spec, weights, arithmetic);
        let block = |spec: &ResidualBlock| -> Result<Block> {
            let path = spec.path.iter().map(conv).collect::<Result<_>>()?;
            Ok(Block { path, shortcut: spec.shortcut.as_ref().map(conv).transpose()? })
        };
        let last = |name| -> Result<Tensor> { Ok(arithmetic.take(&weights.get(name)?)?) };
        let blocks: Vec<Block> = layout.blocks.iter().map(block).collect::<Result<_>>()?;
        let stem = conv(&layout.stem)?;
        Ok(Self {
            normalisation,
            kind: arithmetic.kind,
            fused: Fused::new(arithmetic.kind, arithmetic.device, &convolutions(&stem, &blocks)),
            stem,
            max_pool: layout.max_pool,
            device: arithmetic.device,
            blocks,
            weight: last("fc.weight")?,
            bias: last("fc.bias")?,
        })
    }

    fn pool(&self, x: Tensor) -> Result<Tensor, TchError> {
        let Some(MaxPool { kernel, stride, padding }) = self.max_pool else { return Ok(x) };
        let square = |size: u32| [i64::from(size); 2];
        x.f_max_pool2d(square(kernel), square(stride), square(padding), [1, 1], false)
    }

    fn classify(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_mean_dim([2, 3].as_slice(), false, None)?.f_linear(&self.weight, Some(&self.bias))
    }
}

impl Classifier for Resnet {
    fn scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        self.prepared_scores(&self.normalisation.apply(images)?.f_to_kind(self.kind)?)
    }

    fn prepared_scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        if let Some(fused) = &self.fused
            && !images.requires_grad()
        {
            return tch::no_grad(|| fused.scores(self, images));
        }
        let mut x = self.pool(self.stem.forward(images)?.f_relu_()?)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        self.classify(&x)
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn share(&self) -> Box<dyn Classifier> {
        Box::new(Self {
            normalisation: self.normalisation.share(),
            kind: self.kind,
            stem: self.stem.share(),
            max_pool: self.max_pool,
            blocks: self.blocks.iter().map(Block::share).collect(),
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
            fused: Fused::new(self.kind, self.device, &convolutions(&self.stem, &self.blocks)),
            device: self.device,
        })
    }
}

fn convolutions<'a>(stem: &'a Conv, blocks: &'a [Block]) -> Vec<&'a Conv> {
    let of_blocks = blocks.iter().flat_map(|block| block.path.iter().chain(&block.shortcut));
    std::iter::once(stem).chain(of_blocks).collect()
}

impl Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (last, first) = self.path.split_last().ok_or_else(|| TchError::Shape("a block without layers".into()))?;
        let mut y = x.shallow_clone();
        for conv in first {
            y = conv.forward(&y)?.f_relu_()?;
        }
        let mut y = last.forward(&y)?;
        let mut y = match &self.shortcut {
            Some(shortcut) => y.f_add_(&shortcut.forward(x)?)?,
            None => y.f_add_(x)?,
        };
        y.f_relu_()
    }

    fn share(&self) -> Self {
        let path = self.path.iter().map(Conv::share).collect();
        Self { path, shortcut: self.shortcut.as_ref().map(Conv::share) }
    }
}

impl Conv {
    /// Folds y = gamma · (conv(x) - mean) / sqrt(var + epsilon) + beta into one convolution, in double precision.
    fn fold(spec: &ConvNorm, weights: &Weights, arithmetic: Arithmetic) -> Result<Self> {
        let norm = |part: &str| weights.get(&format!("{}.{part}", spec.norm));
        let scale = norm("weight")?.f_div(&norm("running_var")?.f_add_scalar(ConvNorm::EPSILON)?.f_sqrt()?)?;
        let weight = weights.get(&format!("{}.weight", spec.conv))?.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
        let bias = norm("bias")?.f_sub(&norm("running_mean")?.f_mul(&scale)?)?;
        let (stride, padding) = (i64::from(spec.stride), i64::from(spec.padding));
        let weight = channels_last(&arithmetic.take(&weight)?)?;
        Ok(Self { weight, bias: arithmetic.take(&bias)?, stride, padding, tf32: arithmetic.tf32 })
    }

    /// What `conv2d` does, with algorithms that are fixed, deterministic and of the precision asked for.
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (stride, padding, bias) = ([self.stride; 2], [self.padding; 2], Some(&self.bias));
        x.f_internal_convolution(
            &self.weight,
            bias,
            stride,
            padding,
            [1, 1],
            false,
            [0, 0],
            1,
            false,
            true,
            true,
            self.tf32,
        )
    }

    fn share(&self) -> Self {
        Self { weight: self.weight.shallow_clone(), bias: self.bias.shallow_clone(), ..*self }
    }
}

/// The same tensor of shape (N, C, H, W) with channels innermost in memory.
fn channels_last(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}
