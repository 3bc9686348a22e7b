//! Checks a training specification as written and converts it.

mod loss;
mod optimiser;

use std::num::NonZeroU64;
use std::path::Path;

use super::raw::{RawAugmentation, RawSigma, RawTrain, RawTrainedModel, RawTraining};
use super::{Augmentation, TrainedModel, Training, TrainingChoice, TrainingSigma};
use crate::architecture::Architecture;
use crate::domain::Sigma;
use crate::spec::check::{
    Section, check_name, classes, data_dependent, dataset, normalisation, precision,
};
use crate::spec::document::Document;
use crate::spec::raw::{RawChoice, RawDataDependent};
use crate::spec::{DataDependentSpec, Precision, SpecError};

/// The largest number of epochs, and of inputs per step.
const MAX_COUNT: i64 = 1_000_000;

/// Checks a whole specification. Relative paths are joined to `folder`.
pub(super) fn training(
    document: &Document,
    raw: RawTraining,
    folder: &Path,
) -> Result<Training, SpecError> {
    let root = Section::root(document);
    let name = root.required("name", raw.name)?;
    check_name(&root, "name", &name)?;
    let seed = root.required("seed", raw.seed)?;
    let counts = counts(&root.table("train"), raw.train)?;
    let epochs = counts.epochs.get();
    let validation = raw.validation.samples;
    Ok(Training {
        name,
        seed: root.integer("seed", seed, 0, i64::MAX)?,
        dataset: dataset(&root.table("dataset"), raw.dataset, folder)?,
        validation: root
            .table("validation")
            .integer("samples", validation, 1, 1_000_000_000)?,
        model: model(&root.table("model"), raw.model)?,
        loss: loss::loss(&root.table("loss"), &raw.loss)?,
        sigma: sigma(&root.table("sigma"), &raw.sigma, epochs)?,
        epochs: counts.epochs,
        batch: counts.batch,
        group: counts.group,
        optimiser: optimiser::optimiser(&root.table("optimiser"), raw.optimiser, epochs)?,
        augmentation: augmentation(&root.table("augmentation"), &raw.augmentation)?,
    })
}

/// The values of `[train]`.
struct TrainCounts {
    epochs: NonZeroU64,
    batch: NonZeroU64,
    group: NonZeroU64,
}

fn counts(at: &Section, raw: RawTrain) -> Result<TrainCounts, SpecError> {
    let epochs = at.positive("epochs", at.required("epochs", raw.epochs)?, MAX_COUNT)?;
    let batch = at.positive("batch", at.required("batch", raw.batch)?, MAX_COUNT)?;
    let group = match raw.group {
        Some(group) => part_of(at, group, batch)?,
        None => batch,
    };
    Ok(TrainCounts {
        epochs,
        batch,
        group,
    })
}

fn part_of(at: &Section, group: i64, batch: NonZeroU64) -> Result<NonZeroU64, SpecError> {
    let group = at.positive("group", group, MAX_COUNT)?;
    if batch.get().is_multiple_of(group.get()) {
        return Ok(group);
    }
    let message = format!("{group} does not divide train.batch, {batch}");
    Err(at.error("group", message))
}

fn augmentation(at: &Section, raw: &RawAugmentation) -> Result<Augmentation, SpecError> {
    Ok(Augmentation {
        crop_padding: at.integer("crop-padding", raw.crop_padding, 0, 1024)? as u32,
        flip: raw.flip,
    })
}

fn model(at: &Section, raw: RawTrainedModel) -> Result<TrainedModel, SpecError> {
    let name = at.required("architecture", raw.architecture)?;
    let architecture = architecture(at, &name)?;
    normalisation(at, raw.mean.as_deref(), raw.std.as_deref())?;
    let precision = precision(raw.precision);
    if !matches!(precision, Precision::Fp32 | Precision::Bf16) {
        let message = format!("training runs in fp32 or bf16, not {}", precision.as_str());
        return Err(at.error("precision", message));
    }
    Ok(TrainedModel {
        architecture,
        classes: classes(at, raw.classes)?,
        mean: raw.mean,
        std: raw.std,
        precision,
    })
}

/// Reads the name of a network that can be trained.
fn architecture(at: &Section, name: &str) -> Result<Architecture, SpecError> {
    let known = name.parse::<Architecture>();
    let known = known.map_err(|error| at.error("architecture", error.to_string()))?;
    if known.layout().is_none() {
        let message = format!("{known} has nothing to train");
        return Err(at.error("architecture", message));
    }
    Ok(known)
}

fn sigma(at: &Section, raw: &RawSigma, epochs: u64) -> Result<TrainingSigma, SpecError> {
    let initial = given_number(at, "initial", raw.initial.0)?;
    let initial = at.unit("initial", Sigma::new(initial))?;
    let choice = match raw.choice {
        RawChoice::Fixed => {
            refuse_ascent(at, raw)?;
            TrainingChoice::Fixed
        }
        RawChoice::DataDependent => TrainingChoice::DataDependent {
            ascent: ascent(at, raw, initial)?,
            from_epoch: from_epoch(at, raw, epochs)?,
        },
    };
    Ok(TrainingSigma { initial, choice })
}

/// Refuses the keys of a choice of sigma.
fn refuse_ascent(at: &Section, raw: &RawSigma) -> Result<(), SpecError> {
    let given = [
        ("from-epoch", raw.from_epoch.is_some()),
        ("iterations", raw.iterations.is_some()),
        ("draws", raw.draws.is_some()),
        ("learning-rate", raw.learning_rate.is_some()),
        ("clamp", raw.clamp.is_some()),
        ("range", raw.range.is_some()),
    ];
    at.refuse(&given, "has no meaning for choice fixed")
}

fn ascent(at: &Section, raw: &RawSigma, initial: Sigma) -> Result<DataDependentSpec, SpecError> {
    let default = RawDataDependent::default();
    let ascent = RawDataDependent {
        iterations: Some(raw.iterations.unwrap_or(1)),
        draws: raw.draws,
        learning_rate: raw.learning_rate,
        clamp: raw.clamp.unwrap_or(default.clamp),
        range: raw.range.clone().unwrap_or(default.range),
        ..default
    };
    let ascent = data_dependent(at, &ascent)?;
    let (lower, upper) = ascent.range;
    if !(lower..=upper).contains(&initial) {
        let message = format!("{initial} lies outside sigma.range, [{lower}, {upper}]");
        return Err(at.error("initial", message));
    }
    Ok(ascent)
}

fn from_epoch(at: &Section, raw: &RawSigma, epochs: u64) -> Result<u64, SpecError> {
    let first = at.integer("from-epoch", raw.from_epoch.unwrap_or(0), 0, i64::MAX)?;
    if first < epochs {
        return Ok(first);
    }
    let message = format!("no sigma would ever move: {first} is not below train.epochs, {epochs}");
    Err(at.error("from-epoch", message))
}

fn given_number(at: &Section, key: &str, value: Option<f64>) -> Result<f64, SpecError> {
    value.ok_or_else(|| at.error(key, "is required and missing"))
}

/// Refuses keys that are given but are not among the `own` keys of the chosen word.
fn refuse_others(
    at: &Section,
    given: &[(&str, bool)],
    own: &[&str],
    chosen: &str,
) -> Result<(), SpecError> {
    let others: Vec<(&str, bool)> = given
        .iter()
        .copied()
        .filter(|(key, _)| !own.contains(key))
        .collect();
    at.refuse(&others, &format!("has no meaning for {chosen}"))
}
