//! Residual networks as the sequence of their convolutions, each with the names of its tensors.
//!
//! A network is the stem, its max pooling if any, the blocks, the mean over all pixels, and a
//! linear layer `fc` from [`ResnetLayout::features`] to the classes. Code that builds a network
//! follows this description and needs no other list of names.

use std::convert::Infallible;
use std::iter::once;

use super::Architecture;

/// A residual network. `C` is a convolution: its description, or a form that a program computes
/// with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResnetLayout<C = ConvNorm> {
    /// The first convolution, then ReLU.
    pub stem: C,
    /// The max pooling after the stem.
    pub max_pool: Option<MaxPool>,
    /// The blocks, first to last.
    pub blocks: Vec<ResidualBlock<C>>,
    /// Inputs of the linear layer `fc`.
    pub features: u32,
}

/// `relu(path(x) + shortcut(x))`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidualBlock<C = ConvNorm> {
    /// The convolutions in order, with ReLU between them but not after the last.
    pub path: Vec<C>,
    /// The projection if the shape changes; `None` is the identity.
    pub shortcut: Option<C>,
}

/// A square convolution without bias and the batch normalisation after it (epsilon
/// [`ConvNorm::EPSILON`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvNorm {
    /// The convolution's name: its tensor is `{conv}.weight`, of [`ConvNorm::weight_shape`].
    pub conv: String,
    /// The normalisation's name: its tensors are `{norm}.{weight,bias,running_mean,running_var}`,
    /// of `outputs` each.
    pub norm: String,
    /// Channels in.
    pub inputs: u32,
    /// Channels out.
    pub outputs: u32,
    /// The side in pixels.
    pub kernel: u32,
    /// The distance between outputs in pixels.
    pub stride: u32,
    /// The number of zeros on each side.
    pub padding: u32,
}

impl ConvNorm {
    /// The number added to the variance: the default of torch's `BatchNorm2d`.
    pub const EPSILON: f64 = 1e-5;

    /// Outputs, inputs, height, width.
    #[must_use]
    pub fn weight_shape(&self) -> [u32; 4] {
        [self.outputs, self.inputs, self.kernel, self.kernel]
    }
}

/// Max pooling over squares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPool {
    /// The side in pixels.
    pub kernel: u32,
    /// The distance between outputs in pixels.
    pub stride: u32,
    /// The number of pixels added on each side, below every value.
    pub padding: u32,
}

/// The kind of a block (He et al. 2016, figure 5).
#[derive(Debug, Clone, Copy)]
enum ResnetKind {
    /// Two 3x3 convolutions.
    Basic,
    /// Convolutions of 1x1, 3x3 and 1x1, the last four times as wide. The 3x3 has the stride, as in
    /// torchvision.
    Bottleneck,
}

impl<C> ResnetLayout<C> {
    /// All convolutions in the order of the layers; the projection of a block follows its path.
    pub fn convolutions(&self) -> impl Iterator<Item = &C> {
        let blocks = self.blocks.iter();
        once(&self.stem).chain(blocks.flat_map(|block| block.path.iter().chain(&block.shortcut)))
    }

    /// Returns the same layout with each convolution replaced by the result of `convert`.
    #[must_use]
    pub fn map<D>(&self, mut convert: impl FnMut(&C) -> D) -> ResnetLayout<D> {
        let Ok(layout) = self.try_map(|conv| Ok::<D, Infallible>(convert(conv)));
        layout
    }

    /// Returns the same layout with each convolution replaced by the result of `convert`.
    ///
    /// # Errors
    /// When `convert` fails.
    pub fn try_map<D, E>(
        &self,
        mut convert: impl FnMut(&C) -> Result<D, E>,
    ) -> Result<ResnetLayout<D>, E> {
        let blocks = self.blocks.iter();
        Ok(ResnetLayout {
            stem: convert(&self.stem)?,
            max_pool: self.max_pool,
            blocks: blocks
                .map(|block| block.try_map(&mut convert))
                .collect::<Result<_, E>>()?,
            features: self.features,
        })
    }
}

impl<C> ResidualBlock<C> {
    fn try_map<D, E>(
        &self,
        mut convert: impl FnMut(&C) -> Result<D, E>,
    ) -> Result<ResidualBlock<D>, E> {
        Ok(ResidualBlock {
            path: self
                .path
                .iter()
                .map(&mut convert)
                .collect::<Result<_, E>>()?,
            shortcut: self.shortcut.as_ref().map(convert).transpose()?,
        })
    }
}

impl ResnetLayout {
    /// The side of the last block's output for an image of `side` pixels. Each stride of 2 halves
    /// it, rounded up; padding keeps the size otherwise.
    #[must_use]
    pub fn features_side(&self, side: u64) -> u64 {
        self.strides()
            .fold(side, |side, stride| side.div_ceil(u64::from(stride)))
    }

    fn strides(&self) -> impl Iterator<Item = u32> + '_ {
        let blocks = self.blocks.iter().flat_map(|block| &block.path);
        let pool = self.max_pool.map(|pool| pool.stride);
        once(self.stem.stride)
            .chain(pool)
            .chain(blocks.map(|conv| conv.stride))
    }
}

impl Architecture {
    /// The network's convolutions; `None` for a network without.
    #[must_use]
    pub fn layout(&self) -> Option<ResnetLayout> {
        match *self {
            Self::CifarResnet { depth } => Some(cifar((depth - 2) / 6)),
            Self::Resnet18 => Some(imagenet(ResnetKind::Basic, [2, 2, 2, 2])),
            Self::Resnet50 => Some(imagenet(ResnetKind::Bottleneck, [3, 4, 6, 3])),
            Self::HalfSpace => None,
        }
    }
}

/// The network of locuslab/smoothing: projections where the shape changes, basic blocks at every
/// depth.
fn cifar(blocks: u32) -> ResnetLayout {
    let stem = conv("conv1", "bn1", (3, 16), 3, 1);
    let widths = [(blocks, 16), (blocks, 32), (blocks, 64)];
    let (blocks, features) = stages(ResnetKind::Basic, stem.outputs, &widths);
    ResnetLayout {
        stem,
        max_pool: None,
        blocks,
        features,
    }
}

/// The max pooling of torchvision's networks.
const IMAGENET_POOL: MaxPool = MaxPool {
    kernel: 3,
    stride: 2,
    padding: 1,
};

fn imagenet(kind: ResnetKind, [first, second, third, fourth]: [u32; 4]) -> ResnetLayout {
    let stem = conv("conv1", "bn1", (3, 64), 7, 2);
    let widths = [(first, 64), (second, 128), (third, 256), (fourth, 512)];
    let (blocks, features) = stages(kind, stem.outputs, &widths);
    ResnetLayout {
        stem,
        max_pool: Some(IMAGENET_POOL),
        blocks,
        features,
    }
}

/// Stages of (blocks, width), `layer1` on. All but the first halve the image at their first block.
/// Also returns the number of channels of the last block.
fn stages(kind: ResnetKind, mut inputs: u32, stages: &[(u32, u32)]) -> (Vec<ResidualBlock>, u32) {
    let mut layout = Vec::new();
    for (&(blocks, width), stage) in stages.iter().zip(1..) {
        for i in 0..blocks {
            let block = BlockShape {
                name: format!("layer{stage}.{i}"),
                inputs,
                width,
                outputs: kind.outputs(width),
                stride: if stage > 1 && i == 0 { 2 } else { 1 },
            };
            inputs = block.outputs;
            layout.push(block.build(kind));
        }
    }
    (layout, inputs)
}

/// The name and the sizes of a block.
struct BlockShape {
    name: String,
    inputs: u32,
    /// The channels between its convolutions.
    width: u32,
    outputs: u32,
    stride: u32,
}

impl BlockShape {
    fn build(&self, kind: ResnetKind) -> ResidualBlock {
        let changes_shape = self.stride != 1 || self.inputs != self.outputs;
        ResidualBlock {
            path: self.path(kind),
            shortcut: changes_shape.then(|| self.projection()),
        }
    }

    fn path(&self, kind: ResnetKind) -> Vec<ConvNorm> {
        match kind {
            ResnetKind::Basic => self.basic(),
            ResnetKind::Bottleneck => self.bottleneck(),
        }
    }

    fn basic(&self) -> Vec<ConvNorm> {
        vec![
            self.conv(1, (self.inputs, self.width), 3, self.stride),
            self.conv(2, (self.width, self.width), 3, 1),
        ]
    }

    fn bottleneck(&self) -> Vec<ConvNorm> {
        let width = self.width;
        vec![
            self.conv(1, (self.inputs, width), 1, 1),
            self.conv(2, (width, width), 3, self.stride),
            self.conv(3, (width, self.outputs), 1, 1),
        ]
    }

    /// The convolution number `i`, from 1.
    fn conv(&self, i: u32, channels: (u32, u32), kernel: u32, stride: u32) -> ConvNorm {
        let name = &self.name;
        let norm = format!("{name}.bn{i}");
        conv(&format!("{name}.conv{i}"), &norm, channels, kernel, stride)
    }

    fn projection(&self) -> ConvNorm {
        let name = &self.name;
        let norm = format!("{name}.downsample.1");
        let channels = (self.inputs, self.outputs);
        conv(
            &format!("{name}.downsample.0"),
            &norm,
            channels,
            1,
            self.stride,
        )
    }
}

/// A convolution whose padding keeps the image's size, apart from the stride.
fn conv(
    conv: &str,
    norm: &str,
    (inputs, outputs): (u32, u32),
    kernel: u32,
    stride: u32,
) -> ConvNorm {
    ConvNorm {
        conv: conv.to_owned(),
        norm: norm.to_owned(),
        inputs,
        outputs,
        kernel,
        stride,
        padding: kernel / 2,
    }
}

impl ResnetKind {
    fn outputs(self, width: u32) -> u32 {
        match self {
            Self::Basic => width,
            Self::Bottleneck => 4 * width,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_convolutions_fit_each_other() {
        for name in ["cifar-resnet20", "cifar-resnet110", "resnet18", "resnet50"] {
            let layout = name.parse::<Architecture>().unwrap().layout().unwrap();
            let mut channels = layout.stem.outputs;
            for block in &layout.blocks {
                let input = channels;
                for conv in &block.path {
                    assert_eq!(conv.inputs, channels, "{}", conv.conv);
                    channels = conv.outputs;
                }
                let strides: u32 = block.path.iter().map(|conv| conv.stride).product();
                match &block.shortcut {
                    Some(conv) => assert_eq!(
                        (conv.inputs, conv.outputs, conv.stride),
                        (input, channels, strides)
                    ),
                    None => assert_eq!((input, 1), (channels, strides)),
                }
            }
            assert_eq!(channels, layout.features);
        }
    }

    #[test]
    fn features_are_as_wide_as_the_strides_leave_them() {
        let side = |name: &str, side| {
            name.parse::<Architecture>()
                .unwrap()
                .layout()
                .unwrap()
                .features_side(side)
        };
        let cifar = [32, 9, 8, 4, 1].map(|image| side("cifar-resnet20", image));
        assert_eq!(cifar, [8, 3, 2, 1, 1]);
        assert_eq!(
            [224, 225, 33, 32].map(|image| side("resnet18", image)),
            [7, 8, 2, 1]
        );
        assert_eq!(side("resnet50", 224), 7);
    }

    #[test]
    fn a_network_has_as_many_layers_as_its_name_says() {
        for (name, layers) in [
            ("cifar-resnet20", 20),
            ("cifar-resnet110", 110),
            ("resnet18", 18),
            ("resnet50", 50),
        ] {
            let layout = name.parse::<Architecture>().unwrap().layout().unwrap();
            // Projections do not count (He et al. 2016); the stem and the linear layer do.
            let convolutions: usize = layout.blocks.iter().map(|block| block.path.len()).sum();
            assert_eq!(convolutions + 2, layers);
        }
    }
}
