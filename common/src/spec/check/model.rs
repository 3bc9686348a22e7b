//! Checks `[[model]]`.

use std::path::Path;

use super::section::{Section, check_name};
use crate::architecture::Architecture;
use crate::spec::raw::{RawModel, RawPrecision, Required};
use crate::spec::{ModelSource, ModelSpec, Precision, SpecError};

/// Far more than a table has rows for, and few enough to compare each with each.
const MOST_MODELS: usize = 1000;

pub(super) fn models(
    root: &Section,
    raw: Vec<RawModel>,
    folder: &Path,
) -> Result<Vec<ModelSpec>, SpecError> {
    if raw.is_empty() {
        return Err(root.error("model", "at least one [[model]] is required"));
    }
    if raw.len() > MOST_MODELS {
        let message = format!("at most {MOST_MODELS}, not {}", raw.len());
        return Err(root.error("model", message));
    }
    let mut models = Vec::with_capacity(raw.len());
    for (i, raw) in raw.into_iter().enumerate() {
        let at = root.table(&format!("model[{i}]"));
        let model = model(&at, raw, folder)?;
        check_unique(&at, &model, &models)?;
        models.push(model);
    }
    Ok(models)
}

fn check_unique(at: &Section, model: &ModelSpec, earlier: &[ModelSpec]) -> Result<(), SpecError> {
    let name = &model.name;
    match earlier.iter().position(|earlier| earlier.name == *name) {
        Some(j) => {
            let message = format!("{name:?} is already the name of model[{j}]");
            Err(at.error("name", message))
        }
        None => Ok(()),
    }
}

fn model(at: &Section, raw: RawModel, folder: &Path) -> Result<ModelSpec, SpecError> {
    let name = at.required("name", raw.name)?;
    check_name(at, "name", &name)?;
    let path = at.path("path", &at.required("path", raw.path)?, folder)?;
    let source = source(at, &path, raw.architecture.as_deref())?;
    let classes = classes(at, raw.classes)?;
    normalisation(at, raw.mean.as_deref(), raw.std.as_deref())?;
    let model = ModelSpec {
        name,
        path,
        source,
        classes,
        mean: raw.mean,
        std: raw.std,
        precision: precision(raw.precision),
    };
    if source == ModelSource::Safetensors(Architecture::HalfSpace) {
        check_half_space(at, &model)?;
    }
    Ok(model)
}

/// Checks the number of classes of a model.
pub(in crate::spec) fn classes(at: &Section, raw: Required<i64>) -> Result<u32, SpecError> {
    let classes = at.required("classes", raw)?;
    Ok(at.integer("classes", classes, 2, 1_000_000)? as u32)
}

/// Converts the word for a precision.
pub(in crate::spec) fn precision(raw: RawPrecision) -> Precision {
    match raw {
        RawPrecision::Fp32 => Precision::Fp32,
        RawPrecision::Tf32 => Precision::Tf32,
        RawPrecision::Bf16 => Precision::Bf16,
        RawPrecision::Fp16 => Precision::Fp16,
    }
}

/// Determines the kind of model by the file's extension. Only weights need an architecture.
fn source(at: &Section, path: &Path, architecture: Option<&str>) -> Result<ModelSource, SpecError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") => safetensors(at, architecture),
        Some("pt" | "pth") if architecture.is_some() => Err(at.error(
            "architecture",
            "a TorchScript file contains its architecture; only .safetensors takes one",
        )),
        Some("pt" | "pth") => Ok(ModelSource::TorchScript),
        _ => {
            let path = path.display();
            let message = format!("{path} is neither .safetensors nor TorchScript (.pt or .pth)");
            Err(at.error("path", message))
        }
    }
}

fn safetensors(at: &Section, architecture: Option<&str>) -> Result<ModelSource, SpecError> {
    let missing = "is required for a .safetensors file, and missing";
    let name = architecture.ok_or_else(|| at.error("architecture", missing))?;
    let known = name.parse::<Architecture>();
    let known = known.map_err(|error| at.error("architecture", error.to_string()))?;
    Ok(ModelSource::Safetensors(known))
}

/// Checks the means and standard deviations of the channels.
pub(in crate::spec) fn normalisation(
    at: &Section,
    mean: Option<&[f64]>,
    std: Option<&[f64]>,
) -> Result<(), SpecError> {
    match (mean, std) {
        (None, None) => Ok(()),
        (Some(mean), Some(std)) => channels(at, mean, std),
        (Some(_), None) => Err(at.error("std", "is required together with mean, and missing")),
        (None, Some(_)) => Err(at.error("mean", "is required together with std, and missing")),
    }
}

fn channels(at: &Section, mean: &[f64], std: &[f64]) -> Result<(), SpecError> {
    let channels = mean.len();
    if !(1..=4).contains(&channels) {
        let message = format!("must have one value for each of 1 to 4 channels, not {channels}");
        return Err(at.error("mean", message));
    }
    if std.len() != channels {
        let found = std.len();
        let message = format!("must have {channels} values, as mean has, not {found}");
        return Err(at.error("std", message));
    }
    for (i, (&mean, &std)) in mean.iter().zip(std).enumerate() {
        at.number(&format!("mean[{i}]"), mean, true, "a finite number")?;
        check_std(at, &format!("std[{i}]"), std)?;
    }
    Ok(())
}

/// Checks a standard deviation. Pixels are from 0 to 1: outside the range no image would remain, or
/// no number that is finite in every precision.
fn check_std(at: &Section, key: &str, std: f64) -> Result<(), SpecError> {
    let holds = (1e-6..=1e6).contains(&std);
    at.number(key, std, holds, "from 1e-6 to 1e6").map(drop)
}

/// Checks a half-space. Its known radius is in the space of images as they are, so it is neither
/// normalised nor computed less exactly than they are.
fn check_half_space(at: &Section, model: &ModelSpec) -> Result<(), SpecError> {
    let classes = model.classes;
    if classes != 2 {
        let message = format!("must be 2 for a half-space, not {classes}");
        return Err(at.error("classes", message));
    }
    if model.mean.is_some() {
        return Err(at.error("mean", "has no meaning for a half-space"));
    }
    if model.precision != Precision::Fp32 {
        let precision = model.precision.as_str();
        let message = format!("must be \"fp32\" for a half-space, not {precision:?}");
        return Err(at.error("precision", message));
    }
    Ok(())
}
