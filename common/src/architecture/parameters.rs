//! The tensors of a network, by the names that torchvision and locuslab/smoothing give them.

use std::borrow::Cow;
use std::fmt;

use super::Architecture;

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

impl Architecture {
    /// Returns the canonical name for a name without prefixes: programs call the last layer of a
    /// residual network `fc` or `linear`, and its projections `downsample` or `shortcut`.
    #[must_use]
    pub fn usual_name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let (last, projection) = match self {
            Self::PreactResnet18 { .. } => (["fc", "linear"], ["downsample", "shortcut"]),
            Self::CifarResnet { .. }
            | Self::CifarResnetA { .. }
            | Self::Resnet { .. }
            | Self::ResnetCifar { .. }
            | Self::ResnetAlfarra
            | Self::WideResnet { .. } => (["linear", "fc"], ["shortcut", "downsample"]),
            _ => return Cow::Borrowed(name),
        };
        if let Some(part) = name.strip_prefix(&format!("{}.", last[0])) {
            return Cow::Owned(format!("{}.{part}", last[1]));
        }
        match name.split_once(&format!(".{}.", projection[0])) {
            Some((block, part)) => Cow::Owned(format!("{block}.{}.{part}", projection[1])),
            None => Cow::Borrowed(name),
        }
    }

    /// Returns true for a tensor that published files of this network have and no layer uses.
    #[must_use]
    pub fn is_unused(&self, name: &str) -> bool {
        // A copy of `block1` in the programs of TRADES and RobustBench.
        matches!(self, Self::WideResnet { .. }) && name.starts_with("sub_block1.")
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
        // timm's documentation of vit_tiny_patch16_224 and tf_efficientnet_lite0, robustbench's of
        // Wide-ResNet-28-10.
        assert_eq!(trained("vit-tiny-patch16-224", 1000), 5_717_416);
        assert_eq!(trained("vit-small-patch16-224", 1000), 22_050_664);
        assert_eq!(trained("vit-base-patch16-224", 1000), 86_567_656);
        assert_eq!(trained("efficientnet-lite0", 1000), 4_652_008);
        assert_eq!(trained("wide-resnet-28-10", 10), 36_479_194);
        // 0.27M and 1.7M without projections (He et al. 2016, table 6), plus 2,752 for the two
        // projections.
        assert_eq!(trained("cifar-resnet20-option-a", 10), 269_722);
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
    fn other_names_of_the_same_layers_are_known() {
        for (network, name, usual) in [
            ("resnet18-cifar", "linear.weight", "fc.weight"),
            (
                "cifar-resnet20",
                "layer2.0.shortcut.1.bias",
                "layer2.0.downsample.1.bias",
            ),
            ("preact-resnet18", "fc.bias", "linear.bias"),
            (
                "preact-resnet18",
                "layer2.0.downsample.0.weight",
                "layer2.0.shortcut.0.weight",
            ),
            (
                "resnet18",
                "layer2.0.downsample.0.weight",
                "layer2.0.downsample.0.weight",
            ),
            ("vit-tiny-patch16-224", "head.bias", "head.bias"),
        ] {
            let network: Architecture = network.parse().unwrap();
            assert_eq!(network.usual_name(name), usual);
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
