//! Checks `[loss]`.

use std::path::Path;

use super::refuse_others;
use crate::domain::{MAX_LEVELS, VariantName};
use crate::spec::SpecError;
use crate::spec::check::SpecTable;
use crate::spec::training::raw::{RawLevelRecords, RawLoss, RawLossKind};
use crate::spec::training::{LevelRecords, Loss};

/// Checks `[loss]`. Each loss has its own keys and refuses those of the others.
pub(super) fn loss(at: &SpecTable, raw: &RawLoss) -> Result<Loss, SpecError> {
    let kind = at.required("kind", raw.kind.clone())?;
    let (name, own) = keys(kind);
    refuse_others(at, &given(raw), own, &format!("loss {name}"))?;
    match kind {
        RawLossKind::Gaussian => Ok(Loss::Gaussian),
        RawLossKind::SmoothAdv => smoothadv(at, raw),
        RawLossKind::Macer => macer(at, raw),
        RawLossKind::Selector => Ok(Loss::Selector),
    }
}

/// The word and the keys of a loss.
fn keys(kind: RawLossKind) -> (&'static str, &'static [&'static str]) {
    match kind {
        RawLossKind::Gaussian => ("gaussian", &[]),
        RawLossKind::SmoothAdv => ("smoothadv", &["draws", "steps", "epsilon", "warm-up"]),
        RawLossKind::Macer => ("macer", &["draws", "beta", "gamma", "lambda"]),
        RawLossKind::Selector => ("selector", &["levels"]),
    }
}

fn given(raw: &RawLoss) -> [(&'static str, bool); 8] {
    [
        ("draws", raw.draws.is_some()),
        ("steps", raw.steps.is_some()),
        ("epsilon", raw.epsilon.is_some()),
        ("warm-up", raw.warm_up.is_some()),
        ("beta", raw.beta.is_some()),
        ("gamma", raw.gamma.is_some()),
        ("lambda", raw.lambda.is_some()),
        ("levels", raw.levels.is_some()),
    ]
}

/// Checks the records that teach a selector, if the loss is that of one.
pub(super) fn level_records(
    at: &SpecTable,
    raw: RawLoss,
    folder: &Path,
) -> Result<Option<Vec<LevelRecords>>, SpecError> {
    if !matches!(raw.kind.0, Some(RawLossKind::Selector)) {
        return Ok(None);
    }
    let levels = at.given("levels", raw.levels)?;
    check_level_count(at, levels.len())?;
    let levels = levels.into_iter().enumerate();
    let levels: Vec<LevelRecords> = levels
        .map(|(i, raw)| records_of_level(&at.table(&format!("levels[{i}]")), raw, folder))
        .collect::<Result<_, _>>()?;
    at.distinct("levels", &levels)?;
    Ok(Some(levels))
}

fn records_of_level(
    at: &SpecTable,
    raw: RawLevelRecords,
    folder: &Path,
) -> Result<LevelRecords, SpecError> {
    let run = at.required("run", raw.run)?;
    Ok(LevelRecords {
        run: at.path("run", &run, folder)?,
        variant: VariantName::new(at.required("variant", raw.variant)?),
    })
}

fn check_level_count(at: &SpecTable, count: usize) -> Result<(), SpecError> {
    if (2..=MAX_LEVELS).contains(&count) {
        return Ok(());
    }
    let message = format!("must have 2 to {MAX_LEVELS} levels, not {count}");
    Err(at.error("levels", message))
}

fn smoothadv(at: &SpecTable, raw: &RawLoss) -> Result<Loss, SpecError> {
    Ok(Loss::SmoothAdv {
        draws: draws(at, raw, 1)?,
        steps: steps(at, raw)?,
        epsilon: epsilon(at, at.given("epsilon", raw.epsilon)?)?,
        warm_up: warm_up(at, raw)?,
    })
}

fn steps(at: &SpecTable, raw: &RawLoss) -> Result<u32, SpecError> {
    Ok(at.integer("steps", raw.steps.unwrap_or(10), 1, 1000)? as u32)
}

fn warm_up(at: &SpecTable, raw: &RawLoss) -> Result<u64, SpecError> {
    at.integer("warm-up", raw.warm_up.unwrap_or(10), 0, 1_000_000)
}

fn macer(at: &SpecTable, raw: &RawLoss) -> Result<Loss, SpecError> {
    Ok(Loss::Macer {
        draws: draws(at, raw, 16)?,
        beta: at.above_zero("beta", raw.beta.unwrap_or(16.0))?,
        gamma: at.above_zero("gamma", raw.gamma.unwrap_or(8.0))?,
        lambda: at.above_zero("lambda", raw.lambda.unwrap_or(12.0))?,
    })
}

fn draws(at: &SpecTable, raw: &RawLoss, default: i64) -> Result<u32, SpecError> {
    let draws = raw.draws.unwrap_or(default);
    Ok(at.integer("draws", draws, 1, 10_000)? as u32)
}

/// Checks the L2 distance of an attack. No two images are further apart than the limit, and far
/// beyond it the lengths of attacks are infinite in single precision.
fn epsilon(at: &SpecTable, value: f64) -> Result<f64, SpecError> {
    let holds = value > 0.0 && value <= 1e6;
    at.number("epsilon", value, holds, "above 0 and at most 1e6")
}
