//! The tensors of a network, by the names that torchvision and locuslab/smoothing give them.

use std::fmt;

use super::{Architecture, Layers, Unit};

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
        match self.layers(classes) {
            Some(layers) => layers.parameters(),
            None => half_space(),
        }
    }
}

impl Layers {
    fn parameters(&self) -> Vec<Parameter> {
        let units = self.units().into_iter();
        units.flat_map(Unit::parameters).collect()
    }
}

fn half_space() -> Vec<Parameter> {
    let weight = Parameter {
        name: "weight".to_owned(),
        shape: Shape::Vector,
    };
    vec![weight, Parameter::exact("bias".to_owned(), &[1])]
}

impl Parameter {
    pub(super) fn exact(name: String, shape: &[u32]) -> Self {
        Self {
            name,
            shape: Shape::Exact(shape.iter().copied().map(u64::from).collect()),
        }
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
        // torchvision's documentation.
        assert_eq!(trained("resnet18", 1000), 11_689_512);
        assert_eq!(trained("resnet34", 1000), 21_797_672);
        assert_eq!(trained("resnet50", 1000), 25_557_032);
        assert_eq!(trained("resnet101", 1000), 44_549_160);
        assert_eq!(trained("resnet152", 1000), 60_192_808);
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
