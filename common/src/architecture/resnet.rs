//! Residual networks with the activation after the sum.

use super::layers::{Layer, Layers, MaxPool, Residual, Shortcut};
use super::options::{NetworkOptions, StemPooling, StridePlace};
use super::unit::{Conv, Linear, Unit};

/// The max pooling of torchvision's networks.
const STEM_POOL: MaxPool = MaxPool {
    kernel: 3,
    stride: 2,
    padding: 1,
};

/// A residual network: its stem, and the blocks and the width of each stage.
pub(super) struct ResnetPlan {
    stem: Stem,
    kind: BlockKind,
    shortcuts: ShortcutKind,
    stages: Vec<(u32, u32)>,
}

/// The first convolution.
struct Stem {
    outputs: u32,
    kernel: u32,
    stride: u32,
    /// False if no batch normalisation follows.
    norm: bool,
}

/// 7x7 of stride 2, as in torchvision.
const IMAGENET_STEM: Stem = Stem {
    outputs: 64,
    kernel: 7,
    stride: 2,
    norm: true,
};

const fn cifar_stem(outputs: u32) -> Stem {
    Stem {
        outputs,
        kernel: 3,
        stride: 1,
        norm: true,
    }
}

/// The kind of a block (He et al. 2016, figure 5).
#[derive(Debug, Clone, Copy)]
enum BlockKind {
    /// Two 3x3 convolutions.
    Basic,
    /// Convolutions of 1x1, 3x3 and 1x1, the last four times as wide.
    Bottleneck,
}

/// The shortcut where the shape changes (He et al. 2016, section 3.3).
#[derive(Debug, Clone, Copy)]
enum ShortcutKind {
    /// A 1x1 convolution (option B).
    Projection,
    /// Fewer pixels and more channels of zeros (option A).
    Subsample,
}

impl ResnetPlan {
    /// The network of locuslab/smoothing: projections where the shape changes, basic blocks at
    /// every depth.
    pub(super) fn cifar(depth: u32) -> Self {
        let blocks = (depth - 2) / 6;
        Self {
            stem: cifar_stem(16),
            kind: BlockKind::Basic,
            shortcuts: ShortcutKind::Projection,
            stages: [16, 32, 64].map(|width| (blocks, width)).to_vec(),
        }
    }

    /// The same network with shortcuts that have no weights.
    pub(super) fn cifar_a(depth: u32) -> Self {
        Self {
            shortcuts: ShortcutKind::Subsample,
            ..Self::cifar(depth)
        }
    }

    /// torchvision's network of this depth.
    pub(super) fn imagenet(depth: u32) -> Self {
        let (kind, blocks) = blocks(depth);
        Self {
            stem: IMAGENET_STEM,
            kind,
            shortcuts: ShortcutKind::Projection,
            stages: blocks.into_iter().zip([64, 128, 256, 512]).collect(),
        }
    }

    /// torchvision's network with a first convolution for small images.
    pub(super) fn imagenet_for_cifar(depth: u32) -> Self {
        Self {
            stem: cifar_stem(64),
            ..Self::imagenet(depth)
        }
    }

    /// torchvision's ResNet-18 without its first batch normalisation (Alfarra et al. 2022).
    pub(super) fn alfarra() -> Self {
        Self {
            stem: Stem {
                norm: false,
                ..IMAGENET_STEM
            },
            ..Self::imagenet(18)
        }
    }

    pub(super) fn layers(&self, classes: u32, options: &NetworkOptions) -> Layers {
        let mut layers = self.stem.layers(options);
        let mut inputs = self.stem.outputs;
        for (&(blocks, width), stage) in self.stages.iter().zip(1..) {
            for i in 0..blocks {
                let block = ResnetBlock {
                    name: format!("layer{stage}.{i}"),
                    plan: self,
                    inputs,
                    width,
                    stride: if stage > 1 && i == 0 { 2 } else { 1 },
                    options,
                };
                inputs = block.outputs();
                layers.push(Layer::Residual(block.residual()));
            }
        }
        layers.extend(head("fc", (inputs, classes), options));
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

/// One value per channel, then a linear layer.
pub(super) fn head(name: &str, sizes: (u32, u32), options: &NetworkOptions) -> [Layer; 2] {
    [
        Layer::GlobalPool(options.pooling),
        Layer::Unit(Unit::Linear(Linear::new(name, sizes))),
    ]
}

impl Stem {
    fn layers(&self, options: &NetworkOptions) -> Vec<Layer> {
        let mut conv = Conv::new("conv1", (3, self.outputs), self.kernel, self.stride);
        if self.norm {
            conv = conv.norm("bn1", options.epsilon);
        }
        let mut layers = vec![Layer::Unit(Unit::Conv(conv.then(options.activation)))];
        if options.stem_pooling == StemPooling::Max {
            layers.push(Layer::MaxPool(STEM_POOL));
        }
        layers
    }
}

/// The name and the sizes of a block.
struct ResnetBlock<'a> {
    name: String,
    plan: &'a ResnetPlan,
    inputs: u32,
    /// The channels between its convolutions.
    width: u32,
    stride: u32,
    options: &'a NetworkOptions,
}

impl ResnetBlock<'_> {
    fn outputs(&self) -> u32 {
        match self.plan.kind {
            BlockKind::Basic => self.width,
            BlockKind::Bottleneck => 4 * self.width,
        }
    }

    fn residual(&self) -> Residual {
        let (body, last) = match self.plan.kind {
            BlockKind::Basic => self.basic(),
            BlockKind::Bottleneck => self.bottleneck(),
        };
        let body = body.into_iter().map(|conv| Layer::Unit(Unit::Conv(conv)));
        Residual {
            body: body.collect(),
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
        let (first, second) = match self.options.stride_place {
            StridePlace::First => (self.stride, 1),
            StridePlace::Second => (1, self.stride),
        };
        let body = vec![
            self.conv(1, (self.inputs, width), 1, first),
            self.conv(2, (width, width), 3, second),
        ];
        (body, self.conv(3, (width, self.outputs()), 1, 1))
    }

    /// The convolution number `i`, from 1.
    fn conv(&self, i: u32, channels: (u32, u32), kernel: u32, stride: u32) -> Conv {
        let name = &self.name;
        Conv::new(format!("{name}.conv{i}"), channels, kernel, stride)
            .norm(format!("{name}.bn{i}"), self.options.epsilon)
            .then(self.options.activation)
    }

    fn shortcut(&self) -> Shortcut {
        if self.stride == 1 && self.inputs == self.outputs() {
            return Shortcut::Identity;
        }
        match self.plan.shortcuts {
            ShortcutKind::Projection => Shortcut::Projection(Unit::Conv(self.projection())),
            ShortcutKind::Subsample => Shortcut::Subsample {
                stride: self.stride,
                zeros: (self.outputs() - self.inputs) / 2,
            },
        }
    }

    fn projection(&self) -> Conv {
        let name = &self.name;
        let channels = (self.inputs, self.outputs());
        Conv::new(format!("{name}.downsample.0"), channels, 1, self.stride)
            .norm(format!("{name}.downsample.1"), self.options.epsilon)
    }
}
