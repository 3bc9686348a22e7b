//! `[optimiser]`.

use super::refuse_others;
use crate::spec::SpecError;
use crate::spec::check::Section;
use crate::spec::training::raw::{RawOptimiser, RawSchedule};
use crate::spec::training::{Optimiser, Schedule};

/// Checks `[optimiser]`, whose schedule has to fit the epochs.
pub(super) fn optimiser(
    at: &Section,
    raw: RawOptimiser,
    epochs: u64,
) -> Result<Optimiser, SpecError> {
    let rate = at.required("learning-rate", raw.learning_rate.clone())?;
    let (momentum, decay) = (raw.momentum, raw.weight_decay);
    Ok(Optimiser {
        learning_rate: at.number("learning-rate", rate, rate > 0.0, "a finite number above 0")?,
        momentum: at.number(
            "momentum",
            momentum,
            (0.0..1.0).contains(&momentum),
            "from 0 to below 1",
        )?,
        weight_decay: at.number(
            "weight-decay",
            decay,
            decay >= 0.0,
            "a finite number, 0 or more",
        )?,
        schedule: schedule(at, raw, epochs)?,
    })
}

fn schedule(at: &Section, raw: RawOptimiser, epochs: u64) -> Result<Schedule, SpecError> {
    let (own, name): (&[&str], _) = match raw.schedule {
        RawSchedule::Constant => (&[], "constant"),
        RawSchedule::Step => (&["every", "factor"], "step"),
        RawSchedule::Milestones => (&["milestones", "factor"], "milestones"),
        RawSchedule::Cosine => (&[], "cosine"),
        RawSchedule::OneCycle => (&["rise"], "one-cycle"),
    };
    let given = [
        ("every", raw.every.is_some()),
        ("milestones", raw.milestones.is_some()),
        ("factor", raw.factor.is_some()),
        ("rise", raw.rise.is_some()),
    ];
    refuse_others(at, &given, own, &format!("schedule {name}"))?;
    let part = |key, value: f64| {
        at.number(
            key,
            value,
            value > 0.0 && value < 1.0,
            "strictly between 0 and 1",
        )
    };
    let factor = || part("factor", raw.factor.unwrap_or(0.1));
    Ok(match raw.schedule {
        RawSchedule::Constant => Schedule::Constant,
        RawSchedule::Step => {
            let every = raw
                .every
                .ok_or_else(|| at.error("every", "is required and missing"))?;
            Schedule::Step {
                every: at.positive("every", every, i64::MAX)?,
                factor: factor()?,
            }
        }
        RawSchedule::Milestones => Schedule::Milestones {
            epochs: milestones(at, raw.milestones, epochs)?,
            factor: factor()?,
        },
        RawSchedule::Cosine => Schedule::Cosine,
        RawSchedule::OneCycle => Schedule::OneCycle {
            rise: part("rise", raw.rise.unwrap_or(0.3))?,
        },
    })
}

fn milestones(at: &Section, raw: Option<Vec<i64>>, epochs: u64) -> Result<Vec<u64>, SpecError> {
    let raw = raw.ok_or_else(|| at.error("milestones", "is required and missing"))?;
    if epochs == 1 && !raw.is_empty() {
        return Err(at.error("milestones", "have no meaning for train.epochs = 1"));
    }
    let mut checked: Vec<u64> = Vec::with_capacity(raw.len());
    for (i, &epoch) in raw.iter().enumerate() {
        let key = format!("milestones[{i}]");
        let epoch = at.integer(&key, epoch, 1, epochs as i64 - 1)?;
        if let Some(&before) = checked.last().filter(|&&before| before >= epoch) {
            return Err(at.error(
                &key,
                format!("milestones must ascend, and {epoch} comes after {before}"),
            ));
        }
        checked.push(epoch);
    }
    Ok(checked)
}
