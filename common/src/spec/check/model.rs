//! `[[model]]`.

use std::path::Path;

use super::section::{Section, check_name};
use crate::architecture::Architecture;
use crate::spec::raw::{RawModel, RawPrecision};
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
        return Err(root.error("model", format!("at most {MOST_MODELS}, not {}", raw.len())));
    }
    let mut models: Vec<ModelSpec> = Vec::with_capacity(raw.len());
    for (i, raw) in raw.into_iter().enumerate() {
        let at = root.table(&format!("model[{i}]"));
        let checked = model(&at, raw, folder)?;
        if let Some(j) = models
            .iter()
            .position(|earlier| earlier.name == checked.name)
        {
            return Err(at.error(
                "name",
                format!("{:?} is already the name of model[{j}]", checked.name),
            ));
        }
        models.push(checked);
    }
    Ok(models)
}

fn model(at: &Section, raw: RawModel, folder: &Path) -> Result<ModelSpec, SpecError> {
    let name = at.required("name", raw.name)?;
    check_name(at, "name", &name)?;
    let path = at.path("path", &at.required("path", raw.path)?, folder)?;
    let source = source(at, &path, raw.architecture.as_deref())?;
    let classes = at.integer(
        "classes",
        at.required("classes", raw.classes)?,
        2,
        1_000_000,
    )? as u32;
    normalisation(at, raw.mean.as_deref(), raw.std.as_deref())?;
    let precision = precision(raw.precision);
    if source == ModelSource::Safetensors(Architecture::HalfSpace) {
        half_space(at, classes, raw.mean.is_some(), precision)?;
    }
    Ok(ModelSpec {
        name,
        path,
        source,
        classes,
        mean: raw.mean,
        std: raw.std,
        precision,
    })
}

pub(in crate::spec) fn precision(raw: RawPrecision) -> Precision {
    match raw {
        RawPrecision::Fp32 => Precision::Fp32,
        RawPrecision::Tf32 => Precision::Tf32,
        RawPrecision::Bf16 => Precision::Bf16,
        RawPrecision::Fp16 => Precision::Fp16,
    }
}

/// The file's extension says what it holds; only weights need a network to go into.
fn source(at: &Section, path: &Path, architecture: Option<&str>) -> Result<ModelSource, SpecError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") => {
            let name = architecture.ok_or_else(|| {
                at.error(
                    "architecture",
                    "is required for a .safetensors file, and missing",
                )
            })?;
            let known = name
                .parse()
                .map_err(|e| at.error("architecture", format!("{e}")))?;
            Ok(ModelSource::Safetensors(known))
        }
        Some("pt" | "pth") if architecture.is_some() => Err(at.error(
            "architecture",
            "a TorchScript file brings its own; only .safetensors takes one",
        )),
        Some("pt" | "pth") => Ok(ModelSource::TorchScript),
        _ => Err(at.error(
            "path",
            format!(
                "{} is neither .safetensors nor TorchScript (.pt or .pth)",
                path.display()
            ),
        )),
    }
}

pub(in crate::spec) fn normalisation(
    at: &Section,
    mean: Option<&[f64]>,
    std: Option<&[f64]>,
) -> Result<(), SpecError> {
    let (mean, std) = match (mean, std) {
        (None, None) => return Ok(()),
        (Some(mean), Some(std)) => (mean, std),
        (Some(_), None) => return Err(at.error("std", "is required beside mean, and missing")),
        (None, Some(_)) => return Err(at.error("mean", "is required beside std, and missing")),
    };
    if !(1..=4).contains(&mean.len()) {
        return Err(at.error(
            "mean",
            format!(
                "must have one value for each of 1 to 4 channels, not {}",
                mean.len()
            ),
        ));
    }
    if std.len() != mean.len() {
        return Err(at.error(
            "std",
            format!(
                "must have {} values, as mean has, not {}",
                mean.len(),
                std.len()
            ),
        ));
    }
    for (i, (&mean, &std)) in mean.iter().zip(std).enumerate() {
        at.number(&format!("mean[{i}]"), mean, true, "a finite number")?;
        // Pixels are from 0 to 1: beyond these no image would be left, or no number that is finite
        // in every precision.
        at.number(
            &format!("std[{i}]"),
            std,
            (1e-6..=1e6).contains(&std),
            "from 1e-6 to 1e6",
        )?;
    }
    Ok(())
}

/// The half-space lies in the space of images as they are, and is computed as exactly as they are,
/// or its radius would not be the one known.
fn half_space(
    at: &Section,
    classes: u32,
    normalised: bool,
    precision: Precision,
) -> Result<(), SpecError> {
    if classes != 2 {
        return Err(at.error(
            "classes",
            format!("must be 2 for a half-space, not {classes}"),
        ));
    }
    if normalised {
        return Err(at.error("mean", "has no meaning for a half-space"));
    }
    if precision != Precision::Fp32 {
        return Err(at.error(
            "precision",
            format!(
                "must be \"fp32\" for a half-space, not {:?}",
                precision.as_str()
            ),
        ));
    }
    Ok(())
}
