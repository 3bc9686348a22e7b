//! The names of networks.

use std::fmt;
use std::str::FromStr;

use super::vit::PATCH;
use super::{Architecture, VitSize};
use crate::domain::InvalidValue;

/// The known names, for messages.
const KNOWN: &str = "cifar-resnet20 (also 32, 44, 56, 110; with -option-a), resnet18 (also 34, 50, \
                     101, 152; with -cifar), resnet18-alfarra, preact-resnet18 (with -norm), \
                     wide-resnet-40-2 (any -DEPTH-WIDTH), efficientnet-lite0, \
                     vit-tiny-patch16-224 (also small, base; any side), half-space";

/// The depths of torchvision's networks.
const DEPTHS: [u32; 5] = [18, 34, 50, 101, 152];

impl FromStr for Architecture {
    type Err = InvalidValue;

    fn from_str(name: &str) -> Result<Self, InvalidValue> {
        match name {
            "half-space" => Ok(Self::HalfSpace),
            "efficientnet-lite0" => Ok(Self::EfficientnetLite0),
            "resnet18-alfarra" => Ok(Self::ResnetAlfarra),
            "preact-resnet18" => Ok(Self::PreactResnet18 { norm: false }),
            "preact-resnet18-norm" => Ok(Self::PreactResnet18 { norm: true }),
            _ => family(name),
        }
    }
}

/// Reads a name with a number.
fn family(name: &str) -> Result<Architecture, InvalidValue> {
    if let Some(rest) = name.strip_prefix("cifar-resnet") {
        cifar_resnet(name, rest)
    } else if let Some(rest) = name.strip_prefix("wide-resnet-") {
        wide_resnet(name, rest)
    } else if let Some(rest) = name.strip_prefix("vit-") {
        vit(name, rest)
    } else {
        let rest = name.strip_prefix("resnet");
        rest.and_then(resnet).ok_or_else(|| unknown_name(name))
    }
}

/// Reads `D` or `D-cifar`.
fn resnet(rest: &str) -> Option<Architecture> {
    let digits = rest.strip_suffix("-cifar");
    let depth = number(digits.unwrap_or(rest)).filter(|depth| DEPTHS.contains(depth))?;
    Some(match digits {
        Some(_) => Architecture::ResnetCifar { depth },
        None => Architecture::Resnet { depth },
    })
}

/// Reads `D` or `D-option-a`.
fn cifar_resnet(name: &str, rest: &str) -> Result<Architecture, InvalidValue> {
    let plain = rest.strip_suffix("-option-a");
    let digits = plain.unwrap_or(rest);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(unknown_name(name));
    }
    let depth = number(digits).filter(|depth| (20..=110).contains(depth) && depth % 6 == 2);
    let depth = depth.ok_or_else(|| {
        let depths = "a depth of 6n + 2 from 20 to 110, such as 20, 32, 44, 56 or 110";
        unknown_size(name, &format!("a CIFAR ResNet has {depths}"))
    })?;
    Ok(match plain {
        Some(_) => Architecture::CifarResnetA { depth },
        None => Architecture::CifarResnet { depth },
    })
}

/// Reads `D-K`.
fn wide_resnet(name: &str, rest: &str) -> Result<Architecture, InvalidValue> {
    let sizes = rest.split_once('-');
    let sizes = sizes.and_then(|(depth, width)| number(depth).zip(number(width)));
    match sizes {
        Some((depth, width))
            if (10..=124).contains(&depth) && depth % 6 == 4 && (1..=32).contains(&width) =>
        {
            Ok(Architecture::WideResnet { depth, width })
        }
        _ => Err(unknown_size(
            name,
            "a wide ResNet has a depth of 6n + 4 from 10 to 124 and a width from 1 to 32, such as \
             wide-resnet-40-2 or wide-resnet-28-10",
        )),
    }
}

/// Reads `SIZE-patch16-SIDE`.
fn vit(name: &str, rest: &str) -> Result<Architecture, InvalidValue> {
    let parts = rest.split_once("-patch16-");
    let parts = parts.and_then(|(size, side)| vit_size(size).zip(number(side)));
    match parts {
        Some((size, side)) if (PATCH..=1024).contains(&side) && side % PATCH == 0 => {
            Ok(Architecture::Vit { size, side })
        }
        _ => Err(unknown_size(
            name,
            "a vision transformer is tiny, small or base, has patches of 16 pixels, and takes \
             images of a multiple of 16 pixels up to 1024, such as vit-tiny-patch16-224",
        )),
    }
}

fn vit_size(word: &str) -> Option<VitSize> {
    match word {
        "tiny" => Some(VitSize::Tiny),
        "small" => Some(VitSize::Small),
        "base" => Some(VitSize::Base),
        _ => None,
    }
}

/// Reads a number as it would be written.
fn number(digits: &str) -> Option<u32> {
    let number = digits.parse::<u32>().ok()?;
    (number.to_string() == digits).then_some(number)
}

fn unknown_name(name: &str) -> InvalidValue {
    InvalidValue(format!(
        "unknown architecture {name:?}; known are {KNOWN}; any other network is given as a \
         TorchScript program"
    ))
}

fn unknown_size(name: &str, message: &str) -> InvalidValue {
    InvalidValue(format!("unknown architecture {name:?}; {message}"))
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CifarResnet { depth } => write!(f, "cifar-resnet{depth}"),
            Self::CifarResnetA { depth } => write!(f, "cifar-resnet{depth}-option-a"),
            Self::Resnet { depth } => write!(f, "resnet{depth}"),
            Self::ResnetCifar { depth } => write!(f, "resnet{depth}-cifar"),
            Self::ResnetAlfarra => f.write_str("resnet18-alfarra"),
            Self::PreactResnet18 { norm: false } => f.write_str("preact-resnet18"),
            Self::PreactResnet18 { norm: true } => f.write_str("preact-resnet18-norm"),
            Self::WideResnet { depth, width } => write!(f, "wide-resnet-{depth}-{width}"),
            Self::EfficientnetLite0 => f.write_str("efficientnet-lite0"),
            Self::Vit { size, side } => write!(f, "vit-{}-patch16-{side}", size.as_str()),
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
            "cifar-resnet56-option-a",
            "resnet50-cifar",
            "resnet18-alfarra",
            "preact-resnet18",
            "preact-resnet18-norm",
            "wide-resnet-40-2",
            "wide-resnet-28-10",
            "efficientnet-lite0",
            "vit-tiny-patch16-224",
            "vit-base-patch16-384",
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
        for (name, part) in [
            ("wide-resnet-41-2", "6n + 4"),
            ("wide-resnet-40", "6n + 4"),
            ("vit-tiny-patch16-100", "multiple of 16"),
            ("vit-huge-patch14-224", "tiny, small or base"),
        ] {
            let error = name.parse::<Architecture>().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
