//! Describes the networks that ddrs builds: their names, their layers, and their tensors. The
//! descriptions need no torch, so that any program can refuse a wrong model; the worker builds its
//! networks from them.

mod check;
mod parameters;
mod resnet;

pub use check::{ModelError, ModelProblem, check_model, check_model_under, metadata};
pub use parameters::{Parameter, Shape, canonical_name};
pub use resnet::{ConvNorm, MaxPool, ResidualBlock, ResnetLayout};

use std::fmt;
use std::str::FromStr;

use crate::domain::InvalidValue;

/// A network that ddrs builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `cifar-resnetD` (He et al. 2016, section 4.2), D = 6n + 2, from 20 to 110.
    CifarResnet {
        /// The number of layers.
        depth: u32,
    },
    /// torchvision's `resnet18`.
    Resnet18,
    /// torchvision's `resnet50`.
    Resnet50,
    /// A linear model, whose smoothed radius is known.
    HalfSpace,
}

impl FromStr for Architecture {
    type Err = InvalidValue;

    fn from_str(name: &str) -> Result<Self, InvalidValue> {
        match name {
            "resnet18" => Ok(Self::Resnet18),
            "resnet50" => Ok(Self::Resnet50),
            "half-space" => Ok(Self::HalfSpace),
            _ => cifar_resnet(name),
        }
    }
}

/// Reads `cifar-resnetD`.
fn cifar_resnet(name: &str) -> Result<Architecture, InvalidValue> {
    let digits = name.strip_prefix("cifar-resnet");
    let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let digits = digits.ok_or_else(|| unknown_name(name))?;
    match digits.parse() {
        Ok(depth) if is_depth(depth) && !digits.starts_with('0') => {
            Ok(Architecture::CifarResnet { depth })
        }
        _ => Err(unknown_depth(name)),
    }
}

fn unknown_name(name: &str) -> InvalidValue {
    let known = "cifar-resnet20 (also 32, 44, 56, 110), resnet18, resnet50, half-space";
    InvalidValue(format!("unknown architecture {name:?}; known are {known}"))
}

fn unknown_depth(name: &str) -> InvalidValue {
    let depths = "a depth of 6n + 2 from 20 to 110, such as 20, 32, 44, 56 or 110";
    InvalidValue(format!(
        "unknown architecture {name:?}; a CIFAR ResNet has {depths}"
    ))
}

fn is_depth(depth: u32) -> bool {
    (20..=110).contains(&depth) && depth % 6 == 2
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CifarResnet { depth } => write!(f, "cifar-resnet{depth}"),
            Self::Resnet18 => f.pad("resnet18"),
            Self::Resnet50 => f.pad("resnet50"),
            Self::HalfSpace => f.pad("half-space"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for name in [
            "cifar-resnet20",
            "cifar-resnet26",
            "cifar-resnet110",
            "resnet18",
            "resnet50",
            "half-space",
        ] {
            assert_eq!(name.parse::<Architecture>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn other_names_are_refused_with_those_that_are_known() {
        for unknown in [
            "",
            "vgg",
            "resnet34",
            "cifar-resnet-20",
            "cifar-resnet+20",
            "CIFAR-RESNET20",
        ] {
            let error = unknown.parse::<Architecture>().unwrap_err().to_string();
            assert!(error.contains("known are cifar-resnet20"), "{error}");
        }
        for depth in ["", "14", "21", "116", "020", "99999999999"] {
            let error = format!("cifar-resnet{depth}")
                .parse::<Architecture>()
                .unwrap_err()
                .to_string();
            assert!(error.contains("6n + 2 from 20 to 110"), "{error}");
        }
    }
}
