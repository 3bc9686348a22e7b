//! Checks `[[model]]`.

use std::path::Path;

use super::options::options;
use super::section::SpecTable;
use crate::architecture::Architecture;
use crate::spec::raw::{RawMean, RawModel, RawPrecision, Required};
use crate::spec::{ModelSource, ModelSpec, Precision, SpecError};

/// More models than a table can show, and few enough to compare every pair.
const MOST_MODELS: usize = 1000;

pub(super) fn models(
    root: &SpecTable,
    raw: Vec<RawModel>,
    folder: &Path,
) -> Result<Vec<ModelSpec>, SpecError> {
    check_model_count(root, raw.len())?;
    let mut models = Vec::with_capacity(raw.len());
    for (i, raw) in raw.into_iter().enumerate() {
        let at = root.table(&format!("model[{i}]"));
        let model = model(&at, raw, folder)?;
        check_unique(&at, &model.name, &models)?;
        models.push(model);
    }
    Ok(models)
}

fn check_model_count(root: &SpecTable, count: usize) -> Result<(), SpecError> {
    let message = match count {
        0 => "at least one [[model]] is required".to_owned(),
        1..=MOST_MODELS => return Ok(()),
        _ => format!("at most {MOST_MODELS}, not {count}"),
    };
    Err(root.error("model", message))
}

fn check_unique(at: &SpecTable, name: &str, earlier: &[ModelSpec]) -> Result<(), SpecError> {
    let Some(j) = earlier.iter().position(|earlier| earlier.name == name) else {
        return Ok(());
    };
    let message = format!("{name:?} is already the name of model[{j}]");
    Err(at.error("name", message))
}

/// The models of a specification, for tables that name or extend them.
pub(super) struct ModelList<'a> {
    pub(super) models: &'a [ModelSpec],
    folder: &'a Path,
}

impl<'a> ModelList<'a> {
    pub(super) fn new(models: &'a [ModelSpec], folder: &'a Path) -> Self {
        Self { models, folder }
    }

    /// Checks one more model, whose name must be new.
    pub(super) fn another(&self, at: &SpecTable, raw: RawModel) -> Result<ModelSpec, SpecError> {
        let model = model(at, raw, self.folder)?;
        check_unique(at, &model.name, self.models)?;
        Ok(model)
    }
}

fn model(at: &SpecTable, raw: RawModel, folder: &Path) -> Result<ModelSpec, SpecError> {
    let path = at.required("path", raw.path.clone())?;
    let path = at.path("path", &path, folder)?;
    let source = source(at, &path, raw.architecture.as_deref())?;
    let options = options(at, source, &raw)?;
    let name = at.name(raw.name)?;
    let classes = classes(at, raw.classes)?;
    let mean = mean(at, raw.mean, raw.std.as_ref())?;
    normalisation(at, mean.as_deref(), raw.std.as_deref())?;
    let model = ModelSpec {
        name,
        path,
        source,
        weights: raw.weights,
        classes,
        mean,
        std: raw.std,
        precision: precision(raw.precision),
        options,
    };
    check_half_space(at, &model)?;
    Ok(model)
}

/// Checks the number of classes of a model.
pub(in crate::spec) fn classes(at: &SpecTable, raw: Required<i64>) -> Result<u32, SpecError> {
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

/// Weights have an architecture, and programs have none. The content of the file is compared with
/// this when it is opened.
fn source(at: &SpecTable, path: &Path, name: Option<&str>) -> Result<ModelSource, SpecError> {
    match name {
        Some(name) => architecture(at, name).map(ModelSource::Safetensors),
        None if path.extension().is_some_and(|name| name == "safetensors") => {
            let missing = "is required for a .safetensors file, and missing";
            Err(at.error("architecture", missing))
        }
        None => Ok(ModelSource::TorchScript),
    }
}

/// Reads the means; `None` if there is no normalisation.
fn mean(
    at: &SpecTable,
    raw: Option<RawMean>,
    std: Option<&Vec<f64>>,
) -> Result<Option<Vec<f64>>, SpecError> {
    match raw {
        Some(RawMean::None) if std.is_some() => {
            Err(at.error("std", "has no meaning with mean = \"none\""))
        }
        Some(RawMean::Channels(mean)) => Ok(Some(mean)),
        Some(RawMean::None) | None => Ok(None),
    }
}

/// Reads the name of an architecture.
pub(in crate::spec) fn architecture(at: &SpecTable, name: &str) -> Result<Architecture, SpecError> {
    let known = name.parse::<Architecture>();
    known.map_err(|error| at.error("architecture", error.to_string()))
}

/// Checks the means and standard deviations of the channels.
pub(in crate::spec) fn normalisation(
    at: &SpecTable,
    mean: Option<&[f64]>,
    std: Option<&[f64]>,
) -> Result<(), SpecError> {
    match (mean, std) {
        (None, None) => Ok(()),
        (Some(mean), Some(std)) => channels(at, mean, std),
        (Some(_), None) => Err(missing_partner(at, "std", "mean")),
        (None, Some(_)) => Err(missing_partner(at, "mean", "std")),
    }
}

fn missing_partner(at: &SpecTable, missing: &str, given: &str) -> SpecError {
    let message = format!("is required together with {given}, and missing");
    at.error(missing, message)
}

fn channels(at: &SpecTable, mean: &[f64], std: &[f64]) -> Result<(), SpecError> {
    check_channel_count(at, mean.len())?;
    check_std_count(at, std.len(), mean.len())?;
    for (i, (&mean, &std)) in mean.iter().zip(std).enumerate() {
        at.number(&format!("mean[{i}]"), mean, true, "a finite number")?;
        check_std(at, &format!("std[{i}]"), std)?;
    }
    Ok(())
}

fn check_channel_count(at: &SpecTable, channels: usize) -> Result<(), SpecError> {
    if (1..=4).contains(&channels) {
        return Ok(());
    }
    let message = format!("must have one value for each of 1 to 4 channels, not {channels}");
    Err(at.error("mean", message))
}

fn check_std_count(at: &SpecTable, found: usize, channels: usize) -> Result<(), SpecError> {
    if found == channels {
        return Ok(());
    }
    let message = format!("must have {channels} values, as mean has, not {found}");
    Err(at.error("std", message))
}

/// Checks a standard deviation. Pixels are from 0 to 1: a larger value would leave no image, and a
/// smaller one no numbers that are finite in every precision.
fn check_std(at: &SpecTable, key: &str, std: f64) -> Result<(), SpecError> {
    let holds = (1e-6..=1e6).contains(&std);
    at.number(key, std, holds, "from 1e-6 to 1e6").map(drop)
}

/// Checks a model that is a half-space. Its known radius is in the space of the images as they are,
/// so normalisation and a lower precision are refused.
fn check_half_space(at: &SpecTable, model: &ModelSpec) -> Result<(), SpecError> {
    if model.source != ModelSource::Safetensors(Architecture::HalfSpace) {
        return Ok(());
    }
    check_two_classes(at, model.classes)?;
    if model.mean.is_some() {
        return Err(at.error("mean", "has no meaning for a half-space"));
    }
    check_full_precision(at, model.precision)
}

fn check_two_classes(at: &SpecTable, classes: u32) -> Result<(), SpecError> {
    if classes == 2 {
        return Ok(());
    }
    let message = format!("must be 2 for a half-space, not {classes}");
    Err(at.error("classes", message))
}

fn check_full_precision(at: &SpecTable, precision: Precision) -> Result<(), SpecError> {
    if precision == Precision::Fp32 {
        return Ok(());
    }
    let precision = precision.as_str();
    let message = format!("must be \"fp32\" for a half-space, not {precision:?}");
    Err(at.error("precision", message))
}
