//! Describes the networks that ddrs builds: their names, their layers, and their tensors. The
//! descriptions need no torch, so that any program can refuse a wrong model; the worker builds its
//! networks from them.
//!
//! In reading order:
//! - this file: the networks, with the layers and the usual images of each
//! - `name`: their names
//! - `layers`, `unit`: what a network is made of
//! - `options`: choices between networks with the same tensors
//! - `resnet`, `preact`, `efficientnet`, `vit`: the networks themselves
//! - `parameters`, `check`: their tensors, and the check of a model file

mod check;
mod constants;
mod efficientnet;
mod fit;
mod layers;
mod name;
mod options;
mod parameters;
mod preact;
mod recognise;
mod resnet;
mod unit;
mod vit;

pub use check::{FoundNetwork, ModelError, ModelProblem, WantedNetwork, check_model, find_network};
pub use constants::FileConstants;
pub use layers::{GlobalPool, Layer, Layers, MaxPool, Residual, Shortcut};
pub use options::{NetworkOptions, OptionKey, Outputs, StemPooling, StridePlace};
pub use parameters::{Parameter, Shape, canonical_name};
pub use recognise::{Recognised, recognise};
pub use unit::{Activation, BatchNorm, Conv, LayerNorm, Linear, Norm, Padding, Tokens, Unit};
pub use vit::VitSize;

use preact::PreactPlan;
use resnet::ResnetPlan;

/// A network that ddrs builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `cifar-resnetD` (He et al. 2016, section 4.2), D = 6n + 2, from 20 to 110, with projections
    /// as shortcuts.
    CifarResnet {
        /// The number of layers.
        depth: u32,
    },
    /// `cifar-resnetD-option-a`: the same with shortcuts that have no weights.
    CifarResnetA {
        /// The number of layers.
        depth: u32,
    },
    /// torchvision's `resnetD`, D = 18, 34, 50, 101 or 152.
    Resnet {
        /// The number of layers.
        depth: u32,
    },
    /// `resnetD-cifar`: the same with a 3x3 convolution at the beginning, for small images.
    ResnetCifar {
        /// The number of layers.
        depth: u32,
    },
    /// `resnet18-alfarra`: torchvision's ResNet-18 without its first batch normalisation.
    ResnetAlfarra,
    /// `preact-resnet18`, or `preact-resnet18-norm` with a batch normalisation at the end.
    PreactResnet18 {
        /// True if it has a batch normalisation at the end.
        norm: bool,
    },
    /// `wide-resnet-D-K` (Zagoruyko and Komodakis 2016), D = 6n + 4.
    WideResnet {
        /// The number of layers.
        depth: u32,
        /// The factor of the width.
        width: u32,
    },
    /// `efficientnet-lite0`.
    EfficientnetLite0,
    /// `vit-SIZE-patch16-SIDE`, with timm's names.
    Vit {
        /// The size.
        size: VitSize,
        /// The height and the width of its images.
        side: u32,
    },
    /// A linear model, whose smoothed radius is known.
    HalfSpace,
}

impl Architecture {
    /// The layers of the network with its usual options; `None` for a half-space, which has none.
    #[must_use]
    pub fn layers(&self, classes: u32) -> Option<Layers> {
        self.layers_with(classes, &self.usual_options())
    }

    /// The layers of the network; `None` for a half-space, which has none.
    #[must_use]
    pub fn layers_with(&self, classes: u32, options: &NetworkOptions) -> Option<Layers> {
        Some(match *self {
            Self::CifarResnet { depth } => ResnetPlan::cifar(depth).layers(classes, options),
            Self::CifarResnetA { depth } => ResnetPlan::cifar_a(depth).layers(classes, options),
            Self::Resnet { depth } => ResnetPlan::imagenet(depth).layers(classes, options),
            Self::ResnetCifar { depth } => {
                ResnetPlan::imagenet_for_cifar(depth).layers(classes, options)
            }
            Self::ResnetAlfarra => ResnetPlan::alfarra().layers(classes, options),
            Self::PreactResnet18 { norm } => PreactPlan::resnet18(norm).layers(classes, options),
            Self::WideResnet { depth, width } => {
                PreactPlan::wide(depth, width).layers(classes, options)
            }
            Self::EfficientnetLite0 => efficientnet::efficientnet_lite0(classes, options),
            Self::Vit { size, side } => vit::vit(size, side, classes, options),
            Self::HalfSpace => return None,
        })
    }

    /// The usual number of classes and of pixels per side.
    #[must_use]
    pub fn usual_size(&self) -> (u32, usize) {
        match *self {
            Self::Resnet { .. } | Self::EfficientnetLite0 | Self::HalfSpace => (1000, 224),
            Self::Vit { side, .. } => (1000, side as usize),
            _ => (10, 32),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn layers(name: &str) -> Layers {
        name.parse::<Architecture>().unwrap().layers(10).unwrap()
    }

    /// Networks and their numbers of layers.
    const NETWORKS: [(&str, usize); 14] = [
        ("cifar-resnet20", 20),
        ("cifar-resnet110", 110),
        ("resnet18", 18),
        ("resnet34", 34),
        ("resnet50", 50),
        ("resnet101", 101),
        ("resnet152", 152),
        ("cifar-resnet56-option-a", 56),
        ("resnet34-cifar", 34),
        ("resnet18-alfarra", 18),
        ("preact-resnet18", 18),
        ("preact-resnet18-norm", 18),
        ("wide-resnet-40-2", 38),
        ("efficientnet-lite0", 50),
    ];

    /// The channels that a unit reads and those that it returns.
    fn channels(unit: &Unit) -> (u32, u32) {
        match unit {
            Unit::Conv(conv) => (conv.inputs, conv.outputs),
            Unit::Linear(linear) => (linear.inputs, linear.outputs),
            Unit::Norm(norm) => (norm.channels, norm.channels),
            Unit::LayerNorm(norm) => (norm.width, norm.width),
            Unit::Tokens(tokens) => (tokens.width, tokens.width),
        }
    }

    /// Checks that each unit reads the channels that the layer before returns. Returns those of
    /// the last.
    fn checked(layers: &[Layer], before: u32) -> u32 {
        layers.iter().fold(before, |before, layer| match layer {
            Layer::Unit(unit) => next(unit, before),
            Layer::Residual(residual) => {
                let after = next(&residual.last, checked(&residual.body, before));
                match &residual.shortcut {
                    Shortcut::Identity => assert_eq!(before, after),
                    Shortcut::Projection(unit) => assert_eq!(next(unit, before), after),
                    Shortcut::Subsample { zeros, .. } => assert_eq!(before + 2 * zeros, after),
                }
                after
            }
            Layer::Attention { heads } => {
                assert_eq!(before % (3 * heads), 0);
                before / 3
            }
            _ => before,
        })
    }

    fn next(unit: &Unit, before: u32) -> u32 {
        let (inputs, outputs) = channels(unit);
        assert_eq!(inputs, before, "{unit:?}");
        outputs
    }

    #[test]
    fn consecutive_layers_fit_each_other() {
        let transformers = ["vit-tiny-patch16-224", "vit-base-patch16-384"];
        for name in NETWORKS.map(|(name, _)| name).iter().chain(&transformers) {
            assert_eq!(checked(&layers(name).0, 3), 10, "{name}");
        }
    }

    #[test]
    fn both_branches_of_a_sum_have_the_same_stride() {
        for (name, _) in NETWORKS {
            for layer in &layers(name).0 {
                let Layer::Residual(residual) = layer else {
                    continue;
                };
                let alone = Layers(vec![Layer::Residual(residual.clone())]);
                let shortcut = match &residual.shortcut {
                    Shortcut::Identity => 64,
                    Shortcut::Projection(unit) => unit.output_side(64),
                    Shortcut::Subsample { stride, .. } => 64 / u64::from(*stride),
                };
                assert_eq!(alone.last_side(64), shortcut);
            }
        }
    }

    #[test]
    fn the_last_image_is_as_wide_as_the_strides_leave_it() {
        let side = |name: &str, side| layers(name).last_side(side);
        let cifar = [32, 9, 8, 4, 1].map(|image| side("cifar-resnet20", image));
        assert_eq!(cifar, [8, 3, 2, 1, 1]);
        assert_eq!(
            [224, 225, 33, 32].map(|image| side("resnet18", image)),
            [7, 8, 2, 1]
        );
        assert_eq!(side("resnet50", 224), 7);
    }

    fn is_projection(name: &str) -> bool {
        name.contains("downsample") || name.to_lowercase().contains("shortcut")
    }

    #[test]
    fn a_network_has_as_many_layers_as_its_name_says() {
        for (name, expected) in NETWORKS {
            // Projections do not count (He et al. 2016).
            let parameters = name.parse::<Architecture>().unwrap().parameters(10);
            let weights = parameters
                .iter()
                .filter(|parameter| match &parameter.shape {
                    Shape::Exact(shape) => shape.len() > 1 && !is_projection(&parameter.name),
                    Shape::Vector => false,
                });
            assert_eq!(weights.count(), expected, "{name}");
        }
    }

    #[test]
    fn the_classifier_is_the_last_layer() {
        for (name, _) in NETWORKS {
            let architecture: Architecture = name.parse().unwrap();
            let last = architecture.parameters(7).pop().unwrap();
            let layers = architecture.layers(7).unwrap();
            let classifier = layers.classifier().unwrap();
            assert_eq!(last.name, format!("{}.bias", classifier.name));
            assert_eq!(classifier.outputs, 7);
        }
    }
}
