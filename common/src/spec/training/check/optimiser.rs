//! Checks `[optimiser]`.

use super::refuse_others;
use crate::spec::SpecError;
use crate::spec::check::Section;
use crate::spec::training::raw::{RawOptimiser, RawSchedule};
use crate::spec::training::{Optimiser, Schedule};

/// Checks `[optimiser]`. Its schedule must fit the number of epochs.
pub(super) fn optimiser(
    at: &Section,
    raw: RawOptimiser,
    epochs: u64,
) -> Result<Optimiser, SpecError> {
    let rate = at.required("learning-rate", raw.learning_rate.clone())?;
    let momentum = raw.momentum;
    let decay = raw.weight_decay;
    let is_share = (0.0..1.0).contains(&momentum);
    let not_negative = "a finite number, 0 or more";
    Ok(Optimiser {
        learning_rate: at.above_zero("learning-rate", rate)?,
        momentum: at.number("momentum", momentum, is_share, "from 0 to below 1")?,
        weight_decay: at.number("weight-decay", decay, decay >= 0.0, not_negative)?,
        schedule: schedule(at, raw, epochs)?,
    })
}

fn schedule(at: &Section, raw: RawOptimiser, epochs: u64) -> Result<Schedule, SpecError> {
    refuse_keys_of_others(at, &raw)?;
    match raw.schedule {
        RawSchedule::Constant => Ok(Schedule::Constant),
        RawSchedule::Step => Ok(Schedule::Step {
            every: at.positive("every", required(at, "every", raw.every)?, i64::MAX)?,
            factor: factor(at, raw.factor)?,
        }),
        RawSchedule::Milestones => Ok(Schedule::Milestones {
            epochs: milestones(at, &required(at, "milestones", raw.milestones)?, epochs)?,
            factor: factor(at, raw.factor)?,
        }),
        RawSchedule::Cosine => Ok(Schedule::Cosine),
        RawSchedule::OneCycle => Ok(Schedule::OneCycle {
            rise: at.share("rise", raw.rise.unwrap_or(0.3))?,
        }),
    }
}

/// Refuses the keys of other schedules.
fn refuse_keys_of_others(at: &Section, raw: &RawOptimiser) -> Result<(), SpecError> {
    let given = [
        ("every", raw.every.is_some()),
        ("milestones", raw.milestones.is_some()),
        ("factor", raw.factor.is_some()),
        ("rise", raw.rise.is_some()),
    ];
    let (name, own) = keys(raw.schedule);
    refuse_others(at, &given, own, &format!("schedule {name}"))
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

fn required<T>(at: &Section, key: &str, value: Option<T>) -> Result<T, SpecError> {
    value.ok_or_else(|| at.error(key, "is required and missing"))
}

fn factor(at: &Section, value: Option<f64>) -> Result<f64, SpecError> {
    at.share("factor", value.unwrap_or(0.1))
}

fn milestones(at: &Section, raw: &[i64], epochs: u64) -> Result<Vec<u64>, SpecError> {
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

fn check_order(at: &Section, key: &str, before: Option<u64>, epoch: u64) -> Result<(), SpecError> {
    match before {
        Some(before) if before >= epoch => {
            let message = format!("milestones must ascend, and {epoch} comes after {before}");
            Err(at.error(key, message))
        }
        _ => Ok(()),
    }
}
