//! Recognises the network in a file by its tensors.

use super::check::{ModelProblem, WantedNetwork, holds};
use super::{Architecture, FoundNetwork, VitSize};
use crate::model_file::NamedTensors;

/// A network that fits a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognised {
    /// Its architecture.
    pub architecture: Architecture,
    /// Its place in the file.
    pub network: FoundNetwork,
}

/// Finds the network whose tensors a file holds. Of several that fit, the one that the checkpoint's
/// `arch` names counts, or else the first.
///
/// # Errors
/// When no network fits.
pub fn recognise(file: &NamedTensors, weights: Option<&str>) -> Result<Recognised, ModelProblem> {
    let mut fitting = Vec::new();
    let mut nearly = None;
    for architecture in candidates() {
        match wanted(architecture, weights).find(file) {
            Ok(network) => fitting.push(Recognised {
                architecture,
                network,
            }),
            Err(problem) if tells_more(&problem) => nearly = nearly.or(Some(problem)),
            Err(_) => {}
        }
    }
    let named = named(file);
    let place = fitting
        .iter()
        .position(|fit| Some(fit.architecture) == named);
    match fitting.into_iter().nth(place.unwrap_or(0)) {
        Some(fit) => Ok(fit),
        None => Err(nearly.unwrap_or_else(|| ModelProblem::Unrecognised(holds(file)))),
    }
}

/// The networks that a file of tensors can be recognised as, the most common first. The tensors of
/// a half-space are too simple.
fn candidates() -> impl Iterator<Item = Architecture> {
    const RESNETS: [u32; 5] = [18, 34, 50, 101, 152];
    const WIDE_DEPTHS: [u32; 8] = [10, 16, 22, 28, 34, 40, 70, 106];
    const WIDTHS: [u32; 8] = [1, 2, 4, 5, 8, 10, 12, 16];
    const SIDES: [u32; 8] = [224, 384, 256, 192, 128, 96, 64, 32];
    let cifar = || (20..=110).step_by(6);
    let wide = WIDE_DEPTHS
        .into_iter()
        .flat_map(|depth| WIDTHS.map(|width| (depth, width)));
    let sizes = [VitSize::Tiny, VitSize::Small, VitSize::Base];
    let vit = sizes
        .into_iter()
        .flat_map(|size| SIDES.map(|side| (size, side)));
    let resnets = RESNETS
        .map(|depth| Architecture::Resnet { depth })
        .into_iter();
    resnets
        .chain(cifar().map(|depth| Architecture::CifarResnet { depth }))
        .chain(cifar().map(|depth| Architecture::CifarResnetA { depth }))
        .chain(RESNETS.map(|depth| Architecture::ResnetCifar { depth }))
        .chain([Architecture::ResnetAlfarra, Architecture::EfficientnetLite0])
        .chain([false, true].map(|norm| Architecture::PreactResnet18 { norm }))
        .chain(wide.map(|(depth, width)| Architecture::WideResnet { depth, width }))
        .chain(vit.map(|(size, side)| Architecture::Vit { size, side }))
}

fn wanted(architecture: Architecture, weights: Option<&str>) -> WantedNetwork<'_> {
    WantedNetwork {
        architecture,
        classes: None,
        weights,
    }
}

/// Returns true for the problem of a file that holds the network, but not alone.
fn tells_more(problem: &ModelProblem) -> bool {
    matches!(
        problem,
        ModelProblem::Ambiguous(_) | ModelProblem::UnknownBeside { .. }
    )
}

/// The network that `architecture` or `arch` names, in a library's spelling.
fn named(file: &NamedTensors) -> Option<Architecture> {
    let texts = file.metadata();
    let name = texts.get("architecture").or_else(|| texts.get("arch"))?;
    name.to_lowercase().replace('_', "-").parse().ok()
}
