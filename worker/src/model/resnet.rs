//! Residual networks, built from the same description of their layers that model files are checked
//! against.

mod onednn;

use anyhow::{Context, Result};
use ddrs_common::architecture::{Architecture, ConvNorm, MaxPool, ResidualBlock};
use tch::{Device, Kind, TchError, Tensor};

use self::onednn::OneDnn;
use super::fused::{Fusion, Paths};
use super::{Arithmetic, Classifier, Normalisation, Weights};

/// A residual network for inference: batch normalisation is folded into the convolutions, which are
/// kept in channels-last order.
#[derive(Debug)]
pub struct Resnet {
    normalisation: Normalisation,
    kind: Kind,
    stem: Conv,
    max_pool: Option<MaxPool>,
    blocks: Vec<Block>,
    weight: Tensor,
    bias: Tensor,
    onednn: Option<OneDnn>,
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
    /// Whether weight and bias, and the inside of the convolution, are in single precision: see
    /// [`super::wide`].
    wide: bool,
    /// Where the rule lets it be fused with what follows.
    fusion: Option<Fusion>,
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
        let layout = architecture
            .layout()
            .with_context(|| format!("{architecture} is no residual network"))?;
        let conv = |spec: &ConvNorm| Conv::fold(spec, weights, arithmetic);
        let block = |spec: &ResidualBlock| -> Result<Block> {
            let path = spec.path.iter().map(conv).collect::<Result<_>>()?;
            Ok(Block {
                path,
                shortcut: spec.shortcut.as_ref().map(conv).transpose()?,
            })
        };
        let last = |name| -> Result<Tensor> { Ok(arithmetic.take(&weights.get(name)?)?) };
        let blocks: Vec<Block> = layout.blocks.iter().map(block).collect::<Result<_>>()?;
        let stem = conv(&layout.stem)?;
        Ok(Self {
            normalisation,
            kind: arithmetic.kind,
            onednn: OneDnn::new(
                arithmetic.kind,
                arithmetic.device,
                &convolutions(&stem, &blocks),
            ),
            stem,
            max_pool: layout.max_pool,
            device: arithmetic.device,
            blocks,
            weight: last("fc.weight")?,
            bias: last("fc.bias")?,
        })
    }

    fn pool(&self, x: Tensor) -> Result<Tensor, TchError> {
        let Some(MaxPool {
            kernel,
            stride,
            padding,
        }) = self.max_pool
        else {
            return Ok(x);
        };
        let square = |size: u32| [i64::from(size); 2];
        x.f_max_pool2d(
            square(kernel),
            square(stride),
            square(padding),
            [1, 1],
            false,
        )
    }

    fn classify(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_mean_dim([2, 3].as_slice(), false, None)?
            .f_linear(&self.weight, Some(&self.bias))
    }
}

impl Classifier for Resnet {
    fn scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        self.prepared_scores(&self.normalisation.apply(images)?.f_to_kind(self.kind)?)
    }

    fn prepared_scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        if let Some(onednn) = &self.onednn
            && !images.requires_grad()
        {
            return tch::no_grad(|| onednn.scores(self, images));
        }
        let mut x = self.pool(self.stem.relu(images, None)?)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        self.classify(&x)
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn paths(&self) -> Paths {
        let followed =
            std::iter::once(&self.stem).chain(self.blocks.iter().flat_map(|block| &block.path));
        let (candidates, fused) = followed.fold((0, 0), |(all, fused), conv| {
            let holds = self.onednn.is_some() || conv.fusion.as_ref().is_some_and(Fusion::holds);
            (all + 1, fused + usize::from(holds))
        });
        Paths { candidates, fused }
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
            onednn: OneDnn::new(
                self.kind,
                self.device,
                &convolutions(&self.stem, &self.blocks),
            ),
            device: self.device,
        })
    }
}

/// Every convolution in the order that a forward pass comes to them, but for a block's last and its
/// shortcut.
fn convolutions<'a>(stem: &'a Conv, blocks: &'a [Block]) -> Vec<&'a Conv> {
    let of_blocks = blocks
        .iter()
        .flat_map(|block| block.path.iter().chain(&block.shortcut));
    std::iter::once(stem).chain(of_blocks).collect()
}

impl Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (last, first) = self
            .path
            .split_last()
            .ok_or_else(|| TchError::Shape("a block without layers".into()))?;
        let mut y = x.shallow_clone();
        for conv in first {
            y = conv.relu(&y, None)?;
        }
        match &self.shortcut {
            Some(shortcut) => last.relu(&y, Some(&shortcut.forward(x)?)),
            None => last.relu(&y, Some(x)),
        }
    }

    fn share(&self) -> Self {
        let path = self.path.iter().map(Conv::share).collect();
        Self {
            path,
            shortcut: self.shortcut.as_ref().map(Conv::share),
        }
    }
}

impl Conv {
    /// Folds y = gamma · (conv(x) - mean) / sqrt(var + epsilon) + beta into one convolution, in
    /// double precision.
    fn fold(spec: &ConvNorm, weights: &Weights, arithmetic: Arithmetic) -> Result<Self> {
        let norm = |part: &str| weights.get(&format!("{}.{part}", spec.norm));
        let scale = norm("weight")?.f_div(
            &norm("running_var")?
                .f_add_scalar(ConvNorm::EPSILON)?
                .f_sqrt()?,
        )?;
        let weight = weights
            .get(&format!("{}.weight", spec.conv))?
            .f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
        let bias = norm("bias")?.f_sub(&norm("running_mean")?.f_mul(&scale)?)?;
        let (stride, padding) = (i64::from(spec.stride), i64::from(spec.padding));
        let Arithmetic { tf32, wide, .. } = arithmetic;
        let inside = |rounded: Tensor| {
            if wide {
                rounded.f_to_kind(Kind::Float)
            } else {
                Ok(rounded)
            }
        };
        let weight = channels_last(&inside(arithmetic.take(&weight)?)?)?;
        let bias = inside(arithmetic.take(&bias)?)?;
        let fusion = Fusion::of(arithmetic, [&weight, &bias]);
        Ok(Self {
            weight,
            bias,
            stride,
            padding,
            tf32,
            wide,
            fusion,
        })
    }

    /// What `conv2d` does, with algorithms that are fixed, deterministic and of the precision asked
    /// for.
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (stride, padding, bias) = ([self.stride; 2], [self.padding; 2], Some(&self.bias));
        let y = self.widened(x)?.f_internal_convolution(
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
        )?;
        y.f_to_kind(x.kind())
    }

    /// What the convolution reads for `x`.
    fn widened(&self, x: &Tensor) -> Result<Tensor, TchError> {
        if self.wide {
            x.f_to_kind(Kind::Float)
        } else {
            Ok(x.shallow_clone())
        }
    }

    /// relu(conv(x) + z), fused where the rule says so.
    fn relu(&self, x: &Tensor, z: Option<&Tensor>) -> Result<Tensor, TchError> {
        match &self.fusion {
            Some(fusion) if !x.requires_grad() => {
                fusion.run(x, |x| self.fused(x, z), |x| self.plain(x, z))
            }
            _ => self.plain(x, z),
        }
    }

    fn plain(&self, x: &Tensor, z: Option<&Tensor>) -> Result<Tensor, TchError> {
        let mut y = self.forward(x)?;
        if let Some(z) = z {
            y = y.f_add_(z)?;
        }
        y.f_relu_()
    }

    fn fused(&self, x: &Tensor, z: Option<&Tensor>) -> Result<Tensor, TchError> {
        let (stride, padding, bias) = ([self.stride; 2], [self.padding; 2], Some(&self.bias));
        match z {
            None => x.f_cudnn_convolution_relu(&self.weight, bias, stride, padding, [1, 1], 1),
            Some(z) => x.f_cudnn_convolution_add_relu(
                &self.weight,
                z,
                1.0,
                bias,
                stride,
                padding,
                [1, 1],
                1,
            ),
        }
    }

    fn share(&self) -> Self {
        let (weight, bias) = (self.weight.shallow_clone(), self.bias.shallow_clone());
        let Self {
            stride,
            padding,
            tf32,
            wide,
            ..
        } = *self;
        Self {
            weight,
            bias,
            stride,
            padding,
            tf32,
            wide,
            fusion: self.fusion.clone(),
        }
    }
}

/// The same tensor of shape (N, C, H, W) with channels innermost in memory.
fn channels_last(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()?
        .f_permute([0, 3, 1, 2])
}
