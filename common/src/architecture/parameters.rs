//! The tensors of a network, by the names that torchvision and locuslab/smoothing give them.

use std::fmt;

use super::{Architecture, ConvNorm, ResnetLayout};

/// A tensor that a model file must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its canonical name.
    pub name: String,
    /// The shape that it must have.
    pub shape: Shape,
}

/// The shape that a tensor must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Exactly this shape.
    Exact(Vec<u64>),
    /// One dimension of any length above 0: the length of the inputs, which only the data
    /// determines.
    Vector,
}

impl Shape {
    /// Returns true if a tensor may have `shape`.
    #[must_use]
    pub fn admits(&self, shape: &[u64]) -> bool {
        match self {
            Self::Exact(exact) => exact == shape,
            Self::Vector => matches!(shape, [length] if *length > 0),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(shape) => write!(f, "{shape:?}"),
            Self::Vector => f.write_str("[d]"),
        }
    }
}

/// A tensor's name without the prefixes that training scripts add: `module.` (data parallelism),
/// `1.` (a normalisation layer before the network) and `model.`, in any order and number.
#[must_use]
pub fn canonical_name(name: &str) -> &str {
    let mut rest = name;
    while let Some(inner) = ["module.", "1.", "model."]
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix))
    {
        rest = inner;
    }
    rest
}

impl Architecture {
    /// The tensors of the network, in the order in which it uses them.
    #[must_use]
    pub fn parameters(&self, classes: u32) -> Vec<Parameter> {
        match self.layout() {
            Some(layout) => resnet(&layout, classes),
            None => half_space(),
        }
    }
}

fn half_space() -> Vec<Parameter> {
    let weight = Parameter {
        name: "weight".to_owned(),
        shape: Shape::Vector,
    };
    vec![weight, exact("bias".to_owned(), &[1])]
}

fn resnet(layout: &ResnetLayout, classes: u32) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    conv_norm(&layout.stem, &mut parameters);
    for block in &layout.blocks {
        for conv in block.path.iter().chain(&block.shortcut) {
            conv_norm(conv, &mut parameters);
        }
    }
    // The weight comes first, because it distinguishes a wrong class count from a wrong network.
    parameters.push(exact("fc.weight".to_owned(), &[classes, layout.features]));
    parameters.push(exact("fc.bias".to_owned(), &[classes]));
    parameters
}

fn conv_norm(conv: &ConvNorm, parameters: &mut Vec<Parameter>) {
    parameters.push(exact(format!("{}.weight", conv.conv), &conv.weight_shape()));
    let parts = ["weight", "bias", "running_mean", "running_var"];
    parameters.extend(parts.map(|part| norm_part(conv, part)));
}

fn norm_part(conv: &ConvNorm, part: &str) -> Parameter {
    exact(format!("{}.{part}", conv.norm), &[conv.outputs])
}

fn exact(name: String, shape: &[u32]) -> Parameter {
    Parameter {
        name,
        shape: Shape::Exact(shape.iter().copied().map(u64::from).collect()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Weights and biases that training adjusts, as the libraries count them.
    fn trained(name: &str, classes: u32) -> u64 {
        let parameters = name.parse::<Architecture>().unwrap().parameters(classes);
        let size = |parameter: &Parameter| match &parameter.shape {
            Shape::Exact(shape) if !parameter.name.contains(".running_") => shape.iter().product(),
            _ => 0,
        };
        parameters.iter().map(size).sum()
    }

    #[test]
    fn networks_have_as_many_weights_as_published() {
        // torchvision's documentation of resnet18 and resnet50.
        assert_eq!(trained("resnet18", 1000), 11_689_512);
        assert_eq!(trained("resnet50", 1000), 25_557_032);
        // 0.27M and 1.7M without projections (He et al. 2016, table 6), plus 2,752 for the two
        // projections.
        assert_eq!(trained("cifar-resnet20", 10), 269_722 + 2_752);
        assert_eq!(trained("cifar-resnet110", 10), 1_727_962 + 2_752);
    }

    #[test]
    fn wrappers_are_stripped_and_nothing_else_is() {
        for (name, canonical) in [
            ("conv1.weight", "conv1.weight"),
            ("module.conv1.weight", "conv1.weight"),
            ("1.module.conv1.weight", "conv1.weight"),
            ("module.1.model.layer1.1.bn1.bias", "layer1.1.bn1.bias"),
            ("0.mean", "0.mean"),
            ("layer1.0.conv1.weight", "layer1.0.conv1.weight"),
            ("1.", ""),
        ] {
            assert_eq!(canonical_name(name), canonical);
        }
    }

    #[test]
    fn a_half_space_takes_any_vector() {
        let shape = &Architecture::HalfSpace.parameters(2)[0].shape;
        assert!(
            shape.admits(&[3072])
                && !shape.admits(&[0])
                && !shape.admits(&[3, 32])
                && !shape.admits(&[])
        );
    }
}
