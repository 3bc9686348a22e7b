//! A network as layers in order: the one description that the check of a model file, the passes of
//! the worker and training follow.
//!
//! A layer with weights is a [`Unit`]. Its description has the names of its tensors; a program
//! replaces each description by the form that it computes with (see [`Layers::try_map`]) and keeps
//! the order.

use std::convert::Infallible;

use super::parameters::Parameter;
use super::unit::{Linear, Unit};

/// A network: its layers, first to last. `U` is a layer with weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Layers<U = Unit>(pub Vec<Layer<U>>);

/// One layer.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer<U = Unit> {
    /// A layer with weights.
    Unit(U),
    /// Max pooling over squares.
    MaxPool(MaxPool),
    /// A sum of two branches.
    Residual(Residual<U>),
    /// One value per channel: (B, C, H, W) to (B, C).
    GlobalPool(GlobalPool),
    /// Attention between the tokens of an image: queries, keys and values next to each other, (B,
    /// tokens, 3 · width), to (B, tokens, width).
    Attention {
        /// The number of heads.
        heads: u32,
    },
    /// The first token: (B, tokens, width) to (B, width).
    FirstToken,
}

/// `activation(last(body(x)) + shortcut(x))`. The activation is that of `last`.
#[derive(Debug, Clone, PartialEq)]
pub struct Residual<U = Unit> {
    /// The layers of the first branch but the last.
    pub body: Vec<Layer<U>>,
    /// The last layer of the first branch, whose activation follows the sum.
    pub last: U,
    /// The second branch.
    pub shortcut: Shortcut<U>,
}

/// The second branch of a sum.
#[derive(Debug, Clone, PartialEq)]
pub enum Shortcut<U = Unit> {
    /// The input.
    Identity,
    /// A layer that changes the shape.
    Projection(U),
    /// Every `stride`-th pixel, between this number of channels of zeros on each side.
    Subsample {
        /// The distance between the pixels.
        stride: u32,
        /// The channels before and after those of the input.
        zeros: u32,
    },
}

impl GlobalPool {
    /// The word that specifications use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Max => "max",
        }
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

/// The value that stands for all pixels of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GlobalPool {
    /// Their mean.
    Mean,
    /// Their maximum.
    Max,
}

impl<U> Layers<U> {
    /// All layers with weights, in order. The shortcut of a sum follows its first branch.
    #[must_use]
    pub fn units(&self) -> Vec<&U> {
        let mut units = Vec::new();
        visit(&self.0, &mut |unit| units.push(unit));
        units
    }

    /// Returns the same layers with each unit replaced by the result of `convert`.
    #[must_use]
    pub fn map<V>(&self, mut convert: impl FnMut(&U) -> V) -> Layers<V> {
        let Ok(layers) = self.try_map(|unit| Ok::<V, Infallible>(convert(unit)));
        layers
    }

    /// Returns the same layers with each unit replaced by the result of `convert`.
    ///
    /// # Errors
    /// When `convert` fails.
    pub fn try_map<V, E>(
        &self,
        mut convert: impl FnMut(&U) -> Result<V, E>,
    ) -> Result<Layers<V>, E> {
        map_all(&self.0, &mut convert).map(Layers)
    }
}

fn visit<'a, U>(layers: &'a [Layer<U>], see: &mut impl FnMut(&'a U)) {
    for layer in layers {
        match layer {
            Layer::Unit(unit) => see(unit),
            Layer::Residual(residual) => residual.visit(see),
            _ => {}
        }
    }
}

fn map_all<U, V, E>(
    layers: &[Layer<U>],
    convert: &mut impl FnMut(&U) -> Result<V, E>,
) -> Result<Vec<Layer<V>>, E> {
    layers.iter().map(|layer| layer.try_map(convert)).collect()
}

impl<U> Layer<U> {
    fn try_map<V, E>(&self, convert: &mut impl FnMut(&U) -> Result<V, E>) -> Result<Layer<V>, E> {
        Ok(match self {
            Self::Unit(unit) => Layer::Unit(convert(unit)?),
            Self::Residual(residual) => Layer::Residual(residual.try_map(convert)?),
            Self::MaxPool(pool) => Layer::MaxPool(*pool),
            Self::GlobalPool(pool) => Layer::GlobalPool(*pool),
            Self::Attention { heads } => Layer::Attention { heads: *heads },
            Self::FirstToken => Layer::FirstToken,
        })
    }
}

impl<U> Residual<U> {
    fn visit<'a>(&'a self, see: &mut impl FnMut(&'a U)) {
        visit(&self.body, see);
        see(&self.last);
        if let Shortcut::Projection(unit) = &self.shortcut {
            see(unit);
        }
    }

    fn try_map<V, E>(
        &self,
        convert: &mut impl FnMut(&U) -> Result<V, E>,
    ) -> Result<Residual<V>, E> {
        Ok(Residual {
            body: map_all(&self.body, convert)?,
            last: convert(&self.last)?,
            shortcut: self.shortcut.try_map(convert)?,
        })
    }
}

impl<U> Shortcut<U> {
    fn try_map<V, E>(
        &self,
        convert: &mut impl FnMut(&U) -> Result<V, E>,
    ) -> Result<Shortcut<V>, E> {
        Ok(match *self {
            Self::Identity => Shortcut::Identity,
            Self::Projection(ref unit) => Shortcut::Projection(convert(unit)?),
            Self::Subsample { stride, zeros } => Shortcut::Subsample { stride, zeros },
        })
    }
}

impl Layers {
    /// The tensors of all units, in order.
    pub(super) fn parameters(&self) -> Vec<Parameter> {
        let units = self.units().into_iter();
        units.flat_map(Unit::parameters).collect()
    }

    /// The layer that returns the scores: the last.
    #[must_use]
    pub fn classifier(&self) -> Option<&Linear> {
        match self.units().pop() {
            Some(Unit::Linear(linear)) => Some(linear),
            _ => None,
        }
    }

    /// The side of the last image for an image of `side` pixels.
    #[must_use]
    pub fn last_side(&self, side: u64) -> u64 {
        last_side(&self.0, side)
    }
}

fn last_side(layers: &[Layer], side: u64) -> u64 {
    layers.iter().fold(side, |side, layer| match layer {
        Layer::Unit(unit) => unit.output_side(side),
        Layer::MaxPool(pool) => pool.output_side(side),
        Layer::Residual(residual) => residual.output_side(side),
        _ => side,
    })
}

impl Residual {
    fn output_side(&self, side: u64) -> u64 {
        self.last.output_side(last_side(&self.body, side))
    }
}

impl MaxPool {
    fn output_side(&self, side: u64) -> u64 {
        let padded = side + 2 * u64::from(self.padding);
        padded.saturating_sub(self.kernel.into()) / u64::from(self.stride) + 1
    }
}
