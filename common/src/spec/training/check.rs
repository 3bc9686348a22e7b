//! Checks a training specification as written and converts it.

mod loss;
mod optimiser;

use std::num::NonZeroU64;
use std::path::Path;

use super::raw::{
    RawAugmentation, RawSigma, RawTrain, RawTrainedModel, RawTraining, RawValidation,
};
use super::{Augmentation, TrainedModel, Training, TrainingChoice, TrainingSigma};
use crate::architecture::Architecture;
use crate::domain::Sigma;
use crate::spec::check::{
    SpecTable, architecture, classes, data_dependent, dataset, normalisation, precision,
};
use crate::spec::document::Document;
use crate::spec::raw::{RawChoice, RawDataDependent, Required};
use crate::spec::{DataDependentSpec, Precision, SpecError};

/// The largest number of epochs, and of inputs per step.
const MAX_COUNT: i64 = 1_000_000;

/// Checks a whole specification. Relative paths are joined to `folder`.
pub(super) fn training(
    document: &Document,
    raw: RawTraining,
    folder: &Path,
) -> Result<Training, SpecError> {
    let root = SpecTable::root(document);
    let name = root.name(raw.name)?;
    let seed = root.required("seed", raw.seed)?;
    let counts = counts(&root.table("train"), raw.train)?;
    let epochs = counts.epochs.get();
    let at = |table| root.table(table);
    let dataset = dataset(&at("dataset"), raw.dataset, folder)?;
    let validation = validation(&at("validation"), &raw.validation)?;
    let model = model(&at("model"), raw.model, folder)?;
    let loss = loss::loss(&at("loss"), &raw.loss)?;
    let levels = loss::level_records(&at("loss"), raw.loss, folder)?;
    let sigma = sigma(&at("sigma"), &raw.sigma, epochs)?;
    if let Some(levels) = &levels {
        check_selector(&root, levels.len(), &model, &sigma)?;
    }
    Ok(Training {
        name,
        seed: root.integer("seed", seed, 0, i64::MAX)?,
        dataset,
        validation,
        model,
        loss,
        levels,
        sigma,
        epochs: counts.epochs,
        batch: counts.batch,
        group: counts.group,
        optimiser: optimiser::optimiser(&at("optimiser"), &raw.optimiser, epochs)?,
        augmentation: augmentation(&at("augmentation"), &raw.augmentation)?,
    })
}

/// Checks that a selector has one class per level, and noise of one sigma.
fn check_selector(
    root: &SpecTable,
    levels: usize,
    model: &TrainedModel,
    sigma: &TrainingSigma,
) -> Result<(), SpecError> {
    if model.classes as usize != levels {
        let found = model.classes;
        let message = format!("must be {levels}, one per item of loss.levels, not {found}");
        return Err(root.error("model.classes", message));
    }
    if sigma.choice != TrainingChoice::Fixed {
        return Err(root.error("sigma.choice", "must be fixed for loss selector"));
    }
    Ok(())
}

fn validation(at: &SpecTable, raw: &RawValidation) -> Result<u64, SpecError> {
    at.integer("samples", raw.samples, 1, 1_000_000_000)
}

/// The values of `[train]`.
struct TrainCounts {
    epochs: NonZeroU64,
    batch: NonZeroU64,
    group: NonZeroU64,
}

fn counts(at: &SpecTable, raw: RawTrain) -> Result<TrainCounts, SpecError> {
    let epochs = count(at, "epochs", raw.epochs)?;
    let batch = count(at, "batch", raw.batch)?;
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

fn count(at: &SpecTable, key: &str, raw: Required<i64>) -> Result<NonZeroU64, SpecError> {
    at.positive(key, at.required(key, raw)?, MAX_COUNT)
}

fn part_of(at: &SpecTable, group: i64, batch: NonZeroU64) -> Result<NonZeroU64, SpecError> {
    let group = at.positive("group", group, MAX_COUNT)?;
    if batch.get().is_multiple_of(group.get()) {
        return Ok(group);
    }
    let message = format!("{group} does not divide train.batch, {batch}");
    Err(at.error("group", message))
}

fn augmentation(at: &SpecTable, raw: &RawAugmentation) -> Result<Augmentation, SpecError> {
    Ok(Augmentation {
        crop_padding: at.integer("crop-padding", raw.crop_padding, 0, 1024)? as u32,
        flip: raw.flip,
    })
}

fn model(at: &SpecTable, raw: RawTrainedModel, folder: &Path) -> Result<TrainedModel, SpecError> {
    let name = at.required("architecture", raw.architecture)?;
    let architecture = trainable(at, &name)?;
    normalisation(at, raw.mean.as_deref(), raw.std.as_deref())?;
    let precision = precision(raw.precision);
    check_precision(at, precision)?;
    let initial = raw.initial.as_deref();
    let initial = initial.map(|path| at.path("initial", path, folder));
    Ok(TrainedModel {
        architecture,
        classes: classes(at, raw.classes)?,
        mean: raw.mean,
        std: raw.std,
        initial: initial.transpose()?,
        precision,
    })
}

/// Reads the name of a network that can be trained.
fn trainable(at: &SpecTable, name: &str) -> Result<Architecture, SpecError> {
    let known = architecture(at, name)?;
    if known != Architecture::HalfSpace {
        return Ok(known);
    }
    let message = format!("{known} has no weights that training could change");
    Err(at.error("architecture", message))
}

fn check_precision(at: &SpecTable, precision: Precision) -> Result<(), SpecError> {
    if matches!(precision, Precision::Fp32 | Precision::Bf16) {
        return Ok(());
    }
    let message = format!("training runs in fp32 or bf16, not {}", precision.as_str());
    Err(at.error("precision", message))
}

fn sigma(at: &SpecTable, raw: &RawSigma, epochs: u64) -> Result<TrainingSigma, SpecError> {
    let initial = at.given("initial", raw.initial.0)?;
    let initial = at.unit("initial", Sigma::new(initial))?;
    let choice = match raw.choice {
        RawChoice::Fixed => fixed(at, raw)?,
        RawChoice::DataDependent => chosen(at, raw, initial, epochs)?,
        RawChoice::Selected => return Err(selected_sigma(at)),
        RawChoice::File => return Err(file_sigma(at)),
    };
    Ok(TrainingSigma { initial, choice })
}

fn selected_sigma(at: &SpecTable) -> SpecError {
    let message = "a level is selected in certifying only; train a selector with fixed sigma";
    at.error("choice", message)
}

fn file_sigma(at: &SpecTable) -> SpecError {
    at.error("choice", "a file gives sigmas in certifying only")
}

fn fixed(at: &SpecTable, raw: &RawSigma) -> Result<TrainingChoice, SpecError> {
    at.refuse(&ascent_keys(raw), "has no meaning for choice fixed")?;
    Ok(TrainingChoice::Fixed)
}

fn chosen(
    at: &SpecTable,
    raw: &RawSigma,
    initial: Sigma,
    epochs: u64,
) -> Result<TrainingChoice, SpecError> {
    Ok(TrainingChoice::DataDependent {
        ascent: ascent(at, raw, initial)?,
        from_epoch: from_epoch(at, raw, epochs)?,
    })
}

/// The keys that only a choice of sigma has.
fn ascent_keys(raw: &RawSigma) -> [(&'static str, bool); 6] {
    [
        ("from-epoch", raw.from_epoch.is_some()),
        ("iterations", raw.iterations.is_some()),
        ("draws", raw.draws.is_some()),
        ("learning-rate", raw.learning_rate.is_some()),
        ("clamp", raw.clamp.is_some()),
        ("range", raw.range.is_some()),
    ]
}

fn ascent(at: &SpecTable, raw: &RawSigma, initial: Sigma) -> Result<DataDependentSpec, SpecError> {
    let ascent = data_dependent(at, &with_defaults(raw))?;
    check_initial(at, initial, ascent.range)?;
    Ok(ascent)
}

fn with_defaults(raw: &RawSigma) -> RawDataDependent {
    let default = RawDataDependent::default();
    RawDataDependent {
        iterations: Some(raw.iterations.unwrap_or(1)),
        draws: raw.draws,
        learning_rate: raw.learning_rate,
        clamp: raw.clamp.unwrap_or(default.clamp),
        range: raw.range.clone().unwrap_or(default.range),
        ..default
    }
}

fn check_initial(
    at: &SpecTable,
    initial: Sigma,
    (lower, upper): (Sigma, Sigma),
) -> Result<(), SpecError> {
    if (lower..=upper).contains(&initial) {
        return Ok(());
    }
    let message = format!("{initial} lies outside sigma.range, [{lower}, {upper}]");
    Err(at.error("initial", message))
}

fn from_epoch(at: &SpecTable, raw: &RawSigma, epochs: u64) -> Result<u64, SpecError> {
    let first = at.integer("from-epoch", raw.from_epoch.unwrap_or(0), 0, i64::MAX)?;
    if first < epochs {
        return Ok(first);
    }
    let message = format!("no sigma would ever move: {first} is not below train.epochs, {epochs}");
    Err(at.error("from-epoch", message))
}

/// Refuses keys that are given but are not among the `own` keys of the chosen word.
fn refuse_others(
    at: &SpecTable,
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
