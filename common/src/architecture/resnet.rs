//! Residual networks with the activation after the sum.

use super::layers::{GlobalPool, Layer, Layers, MaxPool, Residual, Shortcut};
use super::unit::{Activation, Conv, Linear, Unit};

/// The number added to variances: the default of torch's `BatchNorm2d`.
const EPSILON: f64 = 1e-5;

/// The max pooling of torchvision's networks.
const IMAGENET_POOL: MaxPool = MaxPool {
    kernel: 3,
    stride: 2,
    padding: 1,
};

/// A residual network: its stem, and the blocks and the width of each stage.
pub(super) struct ResnetPlan {
    stem: Stem,
    kind: BlockKind,
    stages: Vec<(u32, u32)>,
}

/// The layers before the first block.
enum Stem {
    /// 3x3, without pooling.
    Cifar { outputs: u32 },
    /// 7x7 of stride 2, then max pooling.
    Imagenet,
}

/// The kind of a block (He et al. 2016, figure 5).
#[derive(Debug, Clone, Copy)]
enum BlockKind {
    /// Two 3x3 convolutions.
    Basic,
    /// Convolutions of 1x1, 3x3 and 1x1, the last four times as wide. The 3x3 has the stride, as in
    /// torchvision.
    Bottleneck,
}

impl ResnetPlan {
    /// The network of locuslab/smoothing: projections where the shape changes, basic blocks at every
    /// depth.
    pub(super) fn cifar(depth: u32) -> Self {
        let blocks = (depth - 2) / 6;
        Self {
            stem: Stem::Cifar { outputs: 16 },
            kind: BlockKind::Basic,
            stages: [16, 32, 64].map(|width| (blocks, width)).to_vec(),
        }
    }

    /// torchvision's network of this depth.
    pub(super) fn imagenet(depth: u32) -> Self {
        let (kind, blocks) = blocks(depth);
        Self {
            stem: Stem::Imagenet,
            kind,
            stages: blocks.into_iter().zip([64, 128, 256, 512]).collect(),
        }
    }

    pub(super) fn layers(&self, classes: u32) -> Layers {
        let mut layers = self.stem.layers();
        let mut inputs = self.stem.outputs();
        for (&(blocks, width), stage) in self.stages.iter().zip(1..) {
            for i in 0..blocks {
                let block = ResnetBlock {
                    name: format!("layer{stage}.{i}"),
                    kind: self.kind,
                    inputs,
                    width,
                    stride: if stage > 1 && i == 0 { 2 } else { 1 },
                };
                inputs = block.outputs();
                layers.push(Layer::Residual(block.residual()));
            }
        }
        layers.extend(head("fc", inputs, classes));
        Layers(layers)
    }
}

/// The kind of block and the number of blocks per stage of torchvision's networks.
fn blocks(depth: u32) -> (BlockKind, [u32; 4]) {
    match depth {
        18 => (BlockKind::Basic, [2, 2, 2, 2]),
        34 => (BlockKind::Basic, [3, 4, 6, 3]),
        50 => (BlockKind::Bottleneck, [3, 4, 6, 3]),
        101 => (BlockKind::Bottleneck, [3, 4, 23, 3]),
        _ => (BlockKind::Bottleneck, [3, 8, 36, 3]),
    }
}

/// The mean over all pixels, then a linear layer.
pub(super) fn head(name: &str, inputs: u32, classes: u32) -> [Layer; 2] {
    let linear = Linear {
        name: name.to_owned(),
        inputs,
        outputs: classes,
        activation: Activation::None,
    };
    [
        Layer::GlobalPool(GlobalPool::Mean),
        Layer::Unit(Unit::Linear(linear)),
    ]
}

impl Stem {
    fn outputs(&self) -> u32 {
        match *self {
            Self::Cifar { outputs } => outputs,
            Self::Imagenet => 64,
        }
    }

    fn layers(&self) -> Vec<Layer> {
        let channels = (3, self.outputs());
        let (kernel, stride, pool) = match self {
            Self::Cifar { .. } => (3, 1, None),
            Self::Imagenet => (7, 2, Some(IMAGENET_POOL)),
        };
        let conv = Conv::new("conv1", channels, kernel, stride).norm("bn1", EPSILON);
        let mut layers = vec![Layer::Unit(Unit::Conv(conv.then(Activation::Relu)))];
        layers.extend(pool.map(Layer::MaxPool));
        layers
    }
}

/// The name and the sizes of a block.
struct ResnetBlock {
    name: String,
    kind: BlockKind,
    inputs: u32,
    /// The channels between its convolutions.
    width: u32,
    stride: u32,
}

impl ResnetBlock {
    fn outputs(&self) -> u32 {
        match self.kind {
            BlockKind::Basic => self.width,
            BlockKind::Bottleneck => 4 * self.width,
        }
    }

    fn residual(&self) -> Residual {
        let (body, last) = match self.kind {
            BlockKind::Basic => self.basic(),
            BlockKind::Bottleneck => self.bottleneck(),
        };
        Residual {
            body: body
                .into_iter()
                .map(|conv| Layer::Unit(Unit::Conv(conv)))
                .collect(),
            last: Unit::Conv(last),
            shortcut: self.shortcut(),
        }
    }

    fn basic(&self) -> (Vec<Conv>, Conv) {
        let width = self.width;
        let first = self.conv(1, (self.inputs, width), 3, self.stride);
        (vec![first], self.conv(2, (width, width), 3, 1))
    }

    fn bottleneck(&self) -> (Vec<Conv>, Conv) {
        let width = self.width;
        let body = vec![
            self.conv(1, (self.inputs, width), 1, 1),
            self.conv(2, (width, width), 3, self.stride),
        ];
        (body, self.conv(3, (width, self.outputs()), 1, 1))
    }

    /// The convolution number `i`, from 1.
    fn conv(&self, i: u32, channels: (u32, u32), kernel: u32, stride: u32) -> Conv {
        let name = &self.name;
        Conv::new(format!("{name}.conv{i}"), channels, kernel, stride)
            .norm(format!("{name}.bn{i}"), EPSILON)
            .then(Activation::Relu)
    }

    fn shortcut(&self) -> Shortcut {
        if self.stride == 1 && self.inputs == self.outputs() {
            Shortcut::Identity
        } else {
            Shortcut::Projection(Unit::Conv(self.projection()))
        }
    }

    fn projection(&self) -> Conv {
        let name = &self.name;
        let channels = (self.inputs, self.outputs());
        Conv::new(format!("{name}.downsample.0"), channels, 1, self.stride)
            .norm(format!("{name}.downsample.1"), EPSILON)
    }
}
