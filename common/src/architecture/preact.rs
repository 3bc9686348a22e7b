//! Residual networks with normalisation and activation before the convolutions (He et al. 2016b):
//! `PreActResNet`-18 and wide residual networks.

use super::layers::{Layer, Layers, Residual, Shortcut};
use super::options::NetworkOptions;
use super::resnet::head;
use super::unit::{BatchNorm, Conv, Norm, Unit};

/// A network of blocks with two 3x3 convolutions. In a block that changes the shape, the projection
/// reads the activated input.
pub(super) struct PreactPlan {
    /// The channels of the first convolution.
    stem: u32,
    /// The blocks and the width of each stage.
    stages: Vec<(u32, u32)>,
    names: PreactNames,
}

/// The names of the tensors, which differ between the published programs.
struct PreactNames {
    /// A block's name: before the stage's number, and between it and the block's.
    block: (&'static str, &'static str),
    projection: &'static str,
    /// The normalisation after the last block, if there is one.
    norm: Option<&'static str>,
    classifier: &'static str,
}

impl PreactPlan {
    /// kuangliu's `PreActResNet18`, or that of `fast_adversarial` with a normalisation at the end.
    pub(super) fn resnet18(norm: bool) -> Self {
        Self {
            stem: 64,
            stages: [64, 128, 256, 512].map(|width| (2, width)).to_vec(),
            names: PreactNames {
                block: ("layer", "."),
                projection: "shortcut.0",
                norm: norm.then_some("bn"),
                classifier: "linear",
            },
        }
    }

    /// The network of Zagoruyko and Komodakis (2016) of this depth, `width` times as wide as the
    /// thinnest.
    pub(super) fn wide(depth: u32, width: u32) -> Self {
        let blocks = (depth - 4) / 6;
        Self {
            stem: 16,
            stages: [16, 32, 64].map(|thin| (blocks, thin * width)).to_vec(),
            names: PreactNames {
                block: ("block", ".layer."),
                projection: "convShortcut",
                norm: Some("bn1"),
                classifier: "fc",
            },
        }
    }

    pub(super) fn layers(&self, classes: u32, options: &NetworkOptions) -> Layers {
        let conv = Conv::new("conv1", (3, self.stem), 3, 1);
        let mut layers = vec![Layer::Unit(Unit::Conv(conv))];
        let mut inputs = self.stem;
        for (&(blocks, outputs), stage) in self.stages.iter().zip(1..) {
            for i in 0..blocks {
                let (before, between) = self.names.block;
                let block = PreactBlock {
                    name: format!("{before}{stage}{between}{i}"),
                    projection: self.names.projection,
                    channels: (inputs, outputs),
                    stride: if stage > 1 && i == 0 { 2 } else { 1 },
                    options,
                };
                layers.extend(block.layers());
                inputs = outputs;
            }
        }
        let norm = self.names.norm;
        layers.extend(norm.map(|name| Layer::Unit(activated_norm(name, inputs, options))));
        layers.extend(head(self.names.classifier, (inputs, classes), options));
        Layers(layers)
    }
}

struct PreactBlock<'a> {
    name: String,
    projection: &'a str,
    channels: (u32, u32),
    stride: u32,
    options: &'a NetworkOptions,
}

impl PreactBlock<'_> {
    fn layers(&self) -> Vec<Layer> {
        let norm = format!("{}.bn1", self.name);
        let norm = Layer::Unit(activated_norm(&norm, self.channels.0, self.options));
        match self.shortcut() {
            Shortcut::Identity => vec![self.residual(vec![norm], Shortcut::Identity)],
            projection => vec![norm, self.residual(Vec::new(), projection)],
        }
    }

    fn residual(&self, mut body: Vec<Layer>, shortcut: Shortcut) -> Layer {
        let (_, outputs) = self.channels;
        let first = self
            .conv(1, self.channels, self.stride)
            .norm(format!("{}.bn2", self.name), self.options.epsilon)
            .then(self.options.activation);
        body.push(Layer::Unit(Unit::Conv(first)));
        Layer::Residual(Residual {
            body,
            last: Unit::Conv(self.conv(2, (outputs, outputs), 1)),
            shortcut,
        })
    }

    /// The convolution number `i`, from 1.
    fn conv(&self, i: u32, channels: (u32, u32), stride: u32) -> Conv {
        Conv::new(format!("{}.conv{i}", self.name), channels, 3, stride)
    }

    fn shortcut(&self) -> Shortcut {
        let (inputs, outputs) = self.channels;
        if self.stride == 1 && inputs == outputs {
            return Shortcut::Identity;
        }
        let name = format!("{}.{}", self.name, self.projection);
        let conv = Conv::new(name, self.channels, 1, self.stride);
        Shortcut::Projection(Unit::Conv(conv))
    }
}

fn activated_norm(name: &str, channels: u32, options: &NetworkOptions) -> Unit {
    Unit::Norm(Norm {
        norm: BatchNorm {
            name: name.to_owned(),
            epsilon: options.epsilon,
        },
        channels,
        activation: options.activation,
    })
}
