//! Describes the networks that ddrs builds: their names, their layers, and their tensors. The
//! descriptions need no torch, so that any program can refuse a wrong model; the worker builds its
//! networks from them.
//!
//! In reading order:
//! - this file: the networks, with the layers and the usual images of each
//! - `name`: their names
//! - `layers`, `unit`: what a network is made of
//! - `resnet`: the networks themselves
//! - `parameters`, `check`: their tensors, and the check of a model file

mod check;
mod layers;
mod name;
mod parameters;
mod resnet;
mod unit;

pub use check::{ModelError, ModelProblem, check_model, check_model_under, metadata};
pub use layers::{GlobalPool, Layer, Layers, MaxPool, Residual, Shortcut};
pub use parameters::{Parameter, Shape, canonical_name};
pub use unit::{Activation, BatchNorm, Conv, Linear, Unit};

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
    /// torchvision's `resnetD`, D = 18, 34, 50, 101 or 152.
    Resnet {
        /// The number of layers.
        depth: u32,
    },
    /// A linear model, whose smoothed radius is known.
    HalfSpace,
}

impl Architecture {
    /// The layers of the network; `None` for a half-space, which has none.
    #[must_use]
    pub fn layers(&self, classes: u32) -> Option<Layers> {
        match *self {
            Self::CifarResnet { depth } => Some(ResnetPlan::cifar(depth).layers(classes)),
            Self::Resnet { depth } => Some(ResnetPlan::imagenet(depth).layers(classes)),
            Self::HalfSpace => None,
        }
    }

    /// The usual number of classes and of pixels per side.
    #[must_use]
    pub fn usual_size(&self) -> (u32, usize) {
        match self {
            Self::CifarResnet { .. } => (10, 32),
            _ => (1000, 224),
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

    /// The networks whose every layer is a convolution but the last.
    const CONVOLUTIONAL: [(&str, usize); 7] = [
        ("cifar-resnet20", 20),
        ("cifar-resnet110", 110),
        ("resnet18", 18),
        ("resnet34", 34),
        ("resnet50", 50),
        ("resnet101", 101),
        ("resnet152", 152),
    ];

    /// The channels that a unit reads and those that it returns.
    fn channels(unit: &Unit) -> (u32, u32) {
        match unit {
            Unit::Conv(conv) => (conv.inputs, conv.outputs),
            Unit::Linear(linear) => (linear.inputs, linear.outputs),
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
                }
                after
            }
            Layer::MaxPool(_) | Layer::GlobalPool(_) => before,
        })
    }

    fn next(unit: &Unit, before: u32) -> u32 {
        let (inputs, outputs) = channels(unit);
        assert_eq!(inputs, before, "{unit:?}");
        outputs
    }

    #[test]
    fn consecutive_layers_fit_each_other() {
        for (name, _) in CONVOLUTIONAL {
            assert_eq!(checked(&layers(name).0, 3), 10, "{name}");
        }
    }

    #[test]
    fn both_branches_of_a_sum_have_the_same_stride() {
        for (name, _) in CONVOLUTIONAL {
            for layer in &layers(name).0 {
                let Layer::Residual(residual) = layer else {
                    continue;
                };
                let alone = Layers(vec![Layer::Residual(residual.clone())]);
                let shortcut = match &residual.shortcut {
                    Shortcut::Identity => 64,
                    Shortcut::Projection(unit) => unit.output_side(64),
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

    #[test]
    fn a_network_has_as_many_layers_as_its_name_says() {
        for (name, expected) in CONVOLUTIONAL {
            // Projections do not count (He et al. 2016).
            let parameters = name.parse::<Architecture>().unwrap().parameters(10);
            let weights = parameters
                .iter()
                .filter(|parameter| match &parameter.shape {
                    Shape::Exact(shape) => {
                        shape.len() > 1 && !parameter.name.contains("downsample")
                    }
                    Shape::Vector => false,
                });
            assert_eq!(weights.count(), expected, "{name}");
        }
    }

    #[test]
    fn the_classifier_is_the_last_layer() {
        for (name, _) in CONVOLUTIONAL {
            let architecture: Architecture = name.parse().unwrap();
            let last = architecture.parameters(7).pop().unwrap();
            let layers = architecture.layers(7).unwrap();
            let classifier = layers.classifier().unwrap();
            assert_eq!(last.name, format!("{}.bias", classifier.name));
            assert_eq!(classifier.outputs, 7);
        }
    }
}
