//! Vision transformers (Dosovitskiy et al. 2021) with patches of 16 x 16 pixels, as timm names
//! their tensors.

use super::layers::{Layer, Layers, Residual, Shortcut};
use super::options::NetworkOptions;
use super::unit::{Activation, Conv, LayerNorm, Linear, Padding, Tokens, Unit};

/// The side of a patch in pixels.
pub(super) const PATCH: u32 = 16;
/// The blocks of all sizes.
const BLOCKS: u32 = 12;
/// The values of a token per head.
const HEAD_WIDTH: u32 = 64;

/// The size of a vision transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VitSize {
    /// 192 values per token, 3 heads.
    Tiny,
    /// 384 values per token, 6 heads.
    Small,
    /// 768 values per token, 12 heads.
    Base,
}

impl VitSize {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Base => "base",
        }
    }

    fn width(self) -> u32 {
        match self {
            Self::Tiny => 192,
            Self::Small => 384,
            Self::Base => 768,
        }
    }
}

/// A transformer for images of `side` pixels.
pub(super) fn vit(size: VitSize, side: u32, classes: u32, options: &NetworkOptions) -> Layers {
    let width = size.width();
    let mut layers = embedding(width, side / PATCH);
    for i in 0..BLOCKS {
        let block = TransformerBlock {
            name: format!("blocks.{i}"),
            width,
            options,
        };
        layers.push(block.attention());
        if i == BLOCKS - 1 {
            // The layers after the last attention treat each token alone, and only the first
            // counts.
            layers.push(Layer::FirstToken);
        }
        layers.push(block.perceptron());
    }
    layers.push(Layer::Unit(layer_norm("norm", width, options)));
    let head = Linear::new("head", (width, classes));
    layers.push(Layer::Unit(Unit::Linear(head)));
    Layers(layers)
}

fn embedding(width: u32, side: u32) -> Vec<Layer> {
    let patches = Conv {
        bias: true,
        padding: Padding::Even(0),
        ..Conv::new("patch_embed.proj", (3, width), PATCH, PATCH)
    };
    let tokens = Tokens {
        class_token: "cls_token".to_owned(),
        positions: "pos_embed".to_owned(),
        side,
        width,
    };
    vec![
        Layer::Unit(Unit::Conv(patches)),
        Layer::Unit(Unit::Tokens(tokens)),
    ]
}

struct TransformerBlock<'a> {
    name: String,
    width: u32,
    options: &'a NetworkOptions,
}

impl TransformerBlock<'_> {
    fn attention(&self) -> Layer {
        let width = self.width;
        added(
            vec![
                self.norm("norm1"),
                Layer::Unit(self.linear("attn.qkv", (width, 3 * width), Activation::None)),
                Layer::Attention {
                    heads: width / HEAD_WIDTH,
                },
            ],
            self.linear("attn.proj", (width, width), Activation::None),
        )
    }

    fn perceptron(&self) -> Layer {
        let width = self.width;
        let activation = self.options.activation;
        added(
            vec![
                self.norm("norm2"),
                Layer::Unit(self.linear("mlp.fc1", (width, 4 * width), activation)),
            ],
            self.linear("mlp.fc2", (4 * width, width), Activation::None),
        )
    }

    fn norm(&self, part: &str) -> Layer {
        let name = format!("{}.{part}", self.name);
        Layer::Unit(layer_norm(&name, self.width, self.options))
    }

    fn linear(&self, part: &str, sizes: (u32, u32), activation: Activation) -> Unit {
        let name = format!("{}.{part}", self.name);
        Unit::Linear(Linear::new(name, sizes).then(activation))
    }
}

/// `last(body(x)) + x`.
fn added(body: Vec<Layer>, last: Unit) -> Layer {
    Layer::Residual(Residual {
        body,
        last,
        shortcut: Shortcut::Identity,
    })
}

fn layer_norm(name: &str, width: u32, options: &NetworkOptions) -> Unit {
    Unit::LayerNorm(LayerNorm {
        name: name.to_owned(),
        width,
        epsilon: options.epsilon,
    })
}
