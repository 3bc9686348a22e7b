//! Checks `[optimiser]`.

use super::refuse_others;
use crate::spec::SpecError;
use crate::spec::check::SpecTable;
use crate::spec::training::raw::{RawOptimiser, RawSchedule};
use crate::spec::training::{Optimiser, Schedule};

/// Checks `[optimiser]`. Its schedule must fit the number of epochs.
pub(super) fn optimiser(
    at: &SpecTable,
    raw: &RawOptimiser,
    epochs: u64,
) -> Result<Optimiser, SpecError> {
    let rate = at.required("learning-rate", raw.learning_rate.clone())?;
    Ok(Optimiser {
        learning_rate: at.above_zero("learning-rate", rate)?,
        momentum: momentum(at, raw.momentum)?,
        weight_decay: weight_decay(at, raw.weight_decay)?,
        schedule: schedule(at, raw, epochs)?,
    })
}

fn momentum(at: &SpecTable, value: f64) -> Result<f64, SpecError> {
    let holds = (0.0..1.0).contains(&value);
    at.number("momentum", value, holds, "from 0 to below 1")
}

fn weight_decay(at: &SpecTable, value: f64) -> Result<f64, SpecError> {
    let demand = "a finite number, 0 or more";
    at.number("weight-decay", value, value >= 0.0, demand)
}

fn schedule(at: &SpecTable, raw: &RawOptimiser, epochs: u64) -> Result<Schedule, SpecError> {
    refuse_keys_of_others(at, raw)?;
    match raw.schedule {
        RawSchedule::Constant => Ok(Schedule::Constant),
        RawSchedule::Step => step(at, raw),
        RawSchedule::Milestones => at_milestones(at, raw, epochs),
        RawSchedule::Cosine => Ok(Schedule::Cosine),
        RawSchedule::OneCycle => one_cycle(at, raw),
    }
}

fn step(at: &SpecTable, raw: &RawOptimiser) -> Result<Schedule, SpecError> {
    Ok(Schedule::Step {
        every: at.positive("every", at.given("every", raw.every)?, i64::MAX)?,
        factor: factor(at, raw.factor)?,
    })
}

fn at_milestones(at: &SpecTable, raw: &RawOptimiser, epochs: u64) -> Result<Schedule, SpecError> {
    let milestones = at.given("milestones", raw.milestones.as_deref())?;
    Ok(Schedule::Milestones {
        epochs: check_milestones(at, milestones, epochs)?,
        factor: factor(at, raw.factor)?,
    })
}

fn one_cycle(at: &SpecTable, raw: &RawOptimiser) -> Result<Schedule, SpecError> {
    let rise = at.share("rise", raw.rise.unwrap_or(0.3))?;
    Ok(Schedule::OneCycle { rise })
}

/// Refuses the keys of other schedules.
fn refuse_keys_of_others(at: &SpecTable, raw: &RawOptimiser) -> Result<(), SpecError> {
    let (name, own) = keys(raw.schedule);
    refuse_others(at, &given(raw), own, &format!("schedule {name}"))
}

fn given(raw: &RawOptimiser) -> [(&'static str, bool); 4] {
    [
        ("every", raw.every.is_some()),
        ("milestones", raw.milestones.is_some()),
        ("factor", raw.factor.is_some()),
        ("rise", raw.rise.is_some()),
    ]
}

/// The word and the keys of a schedule.
fn keys(schedule: RawSchedule) -> (&'static str, &'static [&'static str]) {
    match schedule {
        RawSchedule::Constant => ("constant", &[]),
        RawSchedule::Step => ("step", &["every", "factor"]),
        RawSchedule::Milestones => ("milestones", &["milestones", "factor"]),
        RawSchedule::Cosine => ("cosine", &[]),
        RawSchedule::OneCycle => ("one-cycle", &["rise"]),
    }
}

fn factor(at: &SpecTable, value: Option<f64>) -> Result<f64, SpecError> {
    at.share("factor", value.unwrap_or(0.1))
}

fn check_milestones(at: &SpecTable, raw: &[i64], epochs: u64) -> Result<Vec<u64>, SpecError> {
    if epochs == 1 && !raw.is_empty() {
        return Err(at.error("milestones", "have no meaning for train.epochs = 1"));
    }
    let mut checked: Vec<u64> = Vec::with_capacity(raw.len());
    for (i, &epoch) in raw.iter().enumerate() {
        let key = format!("milestones[{i}]");
        let epoch = at.integer(&key, epoch, 1, epochs as i64 - 1)?;
        check_order(at, &key, checked.last().copied(), epoch)?;
        checked.push(epoch);
    }
    Ok(checked)
}

fn check_order(
    at: &SpecTable,
    key: &str,
    before: Option<u64>,
    epoch: u64,
) -> Result<(), SpecError> {
    match before {
        Some(before) if before >= epoch => {
            let message = format!("milestones must ascend, and {epoch} comes after {before}");
            Err(at.error(key, message))
        }
        _ => Ok(()),
    }
}
