//! From what is written to what is meant.

mod optimiser;

use std::num::NonZeroU64;
use std::path::Path;

use super::raw::{RawLoss, RawLossKind, RawSigma, RawTrainedModel, RawTraining};
use super::{Augmentation, Loss, TrainedModel, Training, TrainingChoice, TrainingSigma};
use crate::architecture::Architecture;
use crate::domain::Sigma;
use crate::spec::check::{Section, check_name, data_dependent, dataset, normalisation, precision};
use crate::spec::document::Document;
use crate::spec::raw::{RawChoice, RawDataDependent};
use crate::spec::{Precision, SpecError};

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
    let (train, augment) = (root.table("train"), root.table("augmentation"));
    let epochs = train.positive(
        "epochs",
        train.required("epochs", raw.train.epochs)?,
        1_000_000,
    )?;
    let batch = train.positive(
        "batch",
        train.required("batch", raw.train.batch)?,
        1_000_000,
    )?;
    Ok(Training {
        name,
        seed: root.integer("seed", seed, 0, i64::MAX)?,
        dataset: dataset(&root.table("dataset"), raw.dataset, folder)?,
        validation: root.table("validation").integer(
            "samples",
            raw.validation.samples,
            1,
            1_000_000_000,
        )?,
        model: model(&root.table("model"), raw.model)?,
        loss: loss(&root.table("loss"), &raw.loss)?,
        sigma: sigma(&root.table("sigma"), &raw.sigma, epochs.get())?,
        epochs,
        batch,
        group: raw
            .train
            .group
            .map_or(Ok(batch), |group| part_of(&train, group, batch))?,
        optimiser: optimiser::optimiser(&root.table("optimiser"), raw.optimiser, epochs.get())?,
        augmentation: Augmentation {
            crop_padding: augment.integer("crop-padding", raw.augmentation.crop_padding, 0, 1024)?
                as u32,
            flip: raw.augmentation.flip,
        },
    })
}

fn part_of(at: &Section, group: i64, batch: NonZeroU64) -> Result<NonZeroU64, SpecError> {
    let group = at.positive("group", group, 1_000_000)?;
    if batch.get().is_multiple_of(group.get()) {
        return Ok(group);
    }
    Err(at.error(
        "group",
        format!("{group} does not divide train.batch, {batch}"),
    ))
}

fn model(at: &Section, raw: RawTrainedModel) -> Result<TrainedModel, SpecError> {
    let name = at.required("architecture", raw.architecture)?;
    let architecture: Architecture = name
        .parse()
        .map_err(|error| at.error("architecture", format!("{error}")))?;
    if architecture.layout().is_none() {
        return Err(at.error(
            "architecture",
            format!("{architecture} has nothing to train"),
        ));
    }
    normalisation(at, raw.mean.as_deref(), raw.std.as_deref())?;
    let precision = precision(raw.precision);
    if !matches!(precision, Precision::Fp32 | Precision::Bf16) {
        let message = format!("training runs in fp32 or bf16, not {}", precision.as_str());
        return Err(at.error("precision", message));
    }
    let classes = at.integer(
        "classes",
        at.required("classes", raw.classes)?,
        2,
        1_000_000,
    )? as u32;
    Ok(TrainedModel {
        architecture,
        classes,
        mean: raw.mean,
        std: raw.std,
        precision,
    })
}

fn loss(at: &Section, raw: &RawLoss) -> Result<Loss, SpecError> {
    let kind = at.required("kind", raw.kind.clone())?;
    let (own, name): (&[&str], _) = match kind {
        RawLossKind::Gaussian => (&[], "gaussian"),
        RawLossKind::SmoothAdv => (&["draws", "steps", "epsilon", "warm-up"], "smoothadv"),
        RawLossKind::Macer => (&["draws", "beta", "gamma", "lambda"], "macer"),
    };
    let given = [
        ("draws", raw.draws.is_some()),
        ("steps", raw.steps.is_some()),
        ("epsilon", raw.epsilon.is_some()),
        ("warm-up", raw.warm_up.is_some()),
        ("beta", raw.beta.is_some()),
        ("gamma", raw.gamma.is_some()),
        ("lambda", raw.lambda.is_some()),
    ];
    refuse_others(at, &given, own, &format!("loss {name}"))?;
    let positive = |key, value: f64| at.number(key, value, value > 0.0, "a finite number above 0");
    let draws = |default| {
        Ok::<_, SpecError>(at.integer("draws", raw.draws.unwrap_or(default), 1, 10_000)? as u32)
    };
    Ok(match kind {
        RawLossKind::Gaussian => Loss::Gaussian,
        RawLossKind::SmoothAdv => Loss::SmoothAdv {
            draws: draws(1)?,
            steps: at.integer("steps", raw.steps.unwrap_or(10), 1, 1000)? as u32,
            epsilon: epsilon(at, given_number(at, "epsilon", raw.epsilon)?)?,
            warm_up: at.integer("warm-up", raw.warm_up.unwrap_or(10), 0, 1_000_000)?,
        },
        RawLossKind::Macer => Loss::Macer {
            draws: draws(16)?,
            beta: positive("beta", raw.beta.unwrap_or(16.0))?,
            gamma: positive("gamma", raw.gamma.unwrap_or(8.0))?,
            lambda: positive("lambda", raw.lambda.unwrap_or(12.0))?,
        },
    })
}

fn sigma(at: &Section, raw: &RawSigma, epochs: u64) -> Result<TrainingSigma, SpecError> {
    let initial = at.unit(
        "initial",
        Sigma::new(given_number(at, "initial", raw.initial.0)?),
    )?;
    let given = [
        ("from-epoch", raw.from_epoch.is_some()),
        ("iterations", raw.iterations.is_some()),
        ("draws", raw.draws.is_some()),
        ("learning-rate", raw.learning_rate.is_some()),
        ("clamp", raw.clamp.is_some()),
        ("range", raw.range.is_some()),
    ];
    let choice = match raw.choice {
        RawChoice::Fixed => {
            refuse_others(at, &given, &[], "choice fixed")?;
            TrainingChoice::Fixed
        }
        RawChoice::DataDependent => {
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
                return Err(at.error(
                    "initial",
                    format!("{initial} lies outside sigma.range, [{lower}, {upper}]"),
                ));
            }
            let from_epoch = at.integer("from-epoch", raw.from_epoch.unwrap_or(0), 0, i64::MAX)?;
            if from_epoch >= epochs {
                let message = format!(
                    "no sigma would ever move: {from_epoch} is not below train.epochs, {epochs}"
                );
                return Err(at.error("from-epoch", message));
            }
            TrainingChoice::DataDependent { from_epoch, ascent }
        }
    };
    Ok(TrainingSigma { initial, choice })
}

/// No two images are further apart than this, and far beyond it the lengths of attacks are infinite
/// in single precision.
fn epsilon(at: &Section, value: f64) -> Result<f64, SpecError> {
    at.number(
        "epsilon",
        value,
        value > 0.0 && value <= 1e6,
        "above 0 and at most 1e6",
    )
}

fn given_number(at: &Section, key: &str, value: Option<f64>) -> Result<f64, SpecError> {
    value.ok_or_else(|| at.error(key, "is required and missing"))
}

/// Refuses keys that are given and mean nothing to what was chosen.
fn refuse_others(
    at: &Section,
    given: &[(&str, bool)],
    own: &[&str],
    chosen: &str,
) -> Result<(), SpecError> {
    match given
        .iter()
        .find(|(key, given)| *given && !own.contains(key))
    {
        Some((key, _)) => Err(at.error(key, format!("has no meaning for {chosen}"))),
        None => Ok(()),
    }
}
