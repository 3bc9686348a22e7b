//! The names of networks.

use std::fmt;
use std::str::FromStr;

use super::Architecture;
use crate::domain::InvalidValue;

impl FromStr for Architecture {
    type Err = InvalidValue;

    fn from_str(name: &str) -> Result<Self, InvalidValue> {
        match name {
            "half-space" => Ok(Self::HalfSpace),
            _ => imagenet_resnet(name).map_or_else(|| cifar_resnet(name), Ok),
        }
    }
}

/// Reads torchvision's `resnetD`.
fn imagenet_resnet(name: &str) -> Option<Architecture> {
    let depth = match name.strip_prefix("resnet")? {
        "18" => 18,
        "34" => 34,
        "50" => 50,
        "101" => 101,
        "152" => 152,
        _ => return None,
    };
    Some(Architecture::Resnet { depth })
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
    let known = "cifar-resnet20 (also 32, 44, 56, 110), resnet18 (also 34, 50, 101, 152), \
                 half-space";
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
            Self::Resnet { depth } => write!(f, "resnet{depth}"),
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
            "resnet34",
            "resnet50",
            "resnet101",
            "resnet152",
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
            "resnet35",
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
