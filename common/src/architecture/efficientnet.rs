//! EfficientNet-Lite0: blocks of a 1x1 convolution, one per channel, and a 1x1 convolution (Tan and
//! Le 2019, without squeeze and excitation). Names are those of lukemelas/EfficientNet-PyTorch.

use super::layers::{Layer, Layers, Residual, Shortcut};
use super::options::NetworkOptions;
use super::resnet::head;
use super::unit::{Conv, Padding, Unit};

/// The channels of the first convolution.
const STEM: u32 = 32;
/// The channels of the last convolution.
const HEAD: u32 = 1280;

/// The blocks of the same outputs.
struct Stage {
    blocks: u32,
    kernel: u32,
    /// The stride of the first block.
    stride: u32,
    /// The factor of channels inside a block.
    expansion: u32,
    outputs: u32,
}

const fn stage(blocks: u32, kernel: u32, stride: u32, expansion: u32, outputs: u32) -> Stage {
    Stage {
        blocks,
        kernel,
        stride,
        expansion,
        outputs,
    }
}

const STAGES: [Stage; 7] = [
    stage(1, 3, 1, 1, 16),
    stage(2, 3, 2, 6, 24),
    stage(2, 5, 2, 6, 40),
    stage(3, 3, 2, 6, 80),
    stage(3, 5, 1, 6, 112),
    stage(4, 5, 2, 6, 192),
    stage(1, 3, 1, 6, 320),
];

pub(super) fn efficientnet_lite0(classes: u32, options: &NetworkOptions) -> Layers {
    let stem = conv("_conv_stem", (3, STEM), 3, 2).norm("_bn0", options.epsilon);
    let mut layers = vec![Layer::Unit(Unit::Conv(stem.then(options.activation)))];
    let mut inputs = STEM;
    for (block, i) in blocks().zip(0..) {
        let outputs = block.outputs;
        let block = InvertedBlock {
            name: format!("_blocks.{i}"),
            inputs,
            shape: block,
            options,
        };
        layers.extend(block.layers());
        inputs = outputs;
    }
    let last = conv("_conv_head", (inputs, HEAD), 1, 1).norm("_bn1", options.epsilon);
    layers.push(Layer::Unit(Unit::Conv(last.then(options.activation))));
    layers.extend(head("_fc", (HEAD, classes), options));
    Layers(layers)
}

/// Each block as a stage of one.
fn blocks() -> impl Iterator<Item = Stage> {
    STAGES.into_iter().flat_map(|stage| {
        (0..stage.blocks).map(move |i| Stage {
            blocks: 1,
            stride: if i == 0 { stage.stride } else { 1 },
            ..stage
        })
    })
}

fn conv(name: impl Into<String>, channels: (u32, u32), kernel: u32, stride: u32) -> Conv {
    Conv {
        padding: Padding::Same,
        ..Conv::new(name, channels, kernel, stride)
    }
}

struct InvertedBlock<'a> {
    name: String,
    inputs: u32,
    shape: Stage,
    options: &'a NetworkOptions,
}

impl InvertedBlock<'_> {
    fn layers(&self) -> Vec<Layer> {
        let Stage {
            stride, outputs, ..
        } = self.shape;
        let body = [self.expansion(), Some(self.per_channel())];
        let mut body: Vec<Layer> = body
            .into_iter()
            .flatten()
            .map(|conv| Layer::Unit(Unit::Conv(conv)))
            .collect();
        let last = Unit::Conv(self.projection());
        if stride == 1 && self.inputs == outputs {
            return vec![Layer::Residual(Residual {
                body,
                last,
                shortcut: Shortcut::Identity,
            })];
        }
        body.push(Layer::Unit(last));
        body
    }

    /// The channels inside the block.
    fn inside(&self) -> u32 {
        self.inputs * self.shape.expansion
    }

    fn expansion(&self) -> Option<Conv> {
        let channels = (self.inputs, self.inside());
        (self.shape.expansion > 1).then(|| {
            self.conv("_expand_conv", "_bn0", channels, (1, 1))
                .then(self.options.activation)
        })
    }

    fn per_channel(&self) -> Conv {
        let size = (self.shape.kernel, self.shape.stride);
        let channels = (self.inside(), self.inside());
        let conv = self.conv("_depthwise_conv", "_bn1", channels, size);
        Conv {
            groups: self.inside(),
            ..conv.then(self.options.activation)
        }
    }

    fn projection(&self) -> Conv {
        let channels = (self.inside(), self.shape.outputs);
        self.conv("_project_conv", "_bn2", channels, (1, 1))
    }

    fn conv(
        &self,
        conv_name: &str,
        norm: &str,
        channels: (u32, u32),
        (kernel, stride): (u32, u32),
    ) -> Conv {
        let Self { name, options, .. } = self;
        conv(format!("{name}.{conv_name}"), channels, kernel, stride)
            .norm(format!("{name}.{norm}"), options.epsilon)
    }
}
