//! Checks that a record belongs to a sweep and follows from its own counts.

use anyhow::{Result, bail, ensure};
use ddrs_common::certify;
use ddrs_common::domain::{Certification, Outcome, Probability, Radius, Record};
use ddrs_common::grid::GridLoss;
use ddrs_common::plan::Plan;
use ddrs_common::spec::{SelectedSpec, Sweep};

use super::check_selected::check_selected;

/// Checks that a record is of this sweep, and that its radius follows from its counts and the
/// sweep's stopping rule.
///
/// # Errors
/// When the record is not of this sweep, or its radius does not follow from its counts.
///
/// `loss` is that of the sweep's images on the grid.
pub(crate) fn check_record(
    record: &Record,
    sweep: &Sweep,
    plan: &Plan,
    loss: GridLoss,
) -> Result<()> {
    ensure!(
        plan.position(record.index).is_some() && record.seed == sweep.seed,
        "not a sample of this sweep"
    );
    match &record.result {
        Ok(certification) => match levels(record, sweep) {
            Some(levels) => check_selected(certification, sweep, &levels, loss),
            None => check_radius(certification, sweep, loss),
        },
        Err(_) => Ok(()),
    }
}

/// The levels of the record's variant, if its level is selected.
fn levels(record: &Record, sweep: &Sweep) -> Option<SelectedSpec> {
    let variants = sweep.variants();
    let variant = variants.iter().find(|each| each.name == record.variant)?;
    sweep.selected_by(variant).cloned()
}

fn check_radius(certification: &Certification, sweep: &Sweep, loss: GridLoss) -> Result<()> {
    let Some(drawn) = lower_bound(certification, sweep) else {
        bail!("its n, n0 or alpha differ from the sweep's")
    };
    let loss = loss.at_distance(certification.off_grid);
    let p_lower = loss.lower(certification.sigma, drawn);
    let expected = loss.certified_radius(certification.sigma, p_lower);
    let expected = expected.unwrap_or(Radius::ZERO);
    let found = claimed_radius(certification.outcome);
    ensure!(
        expected == found,
        "its radius is {found}, but its counts and sigma give {expected}"
    );
    Ok(())
}

fn claimed_radius(outcome: Outcome) -> Radius {
    match outcome {
        Outcome::Certified { radius, .. } => radius,
        Outcome::Abstained => Radius::ZERO,
    }
}

/// The lower bound of the class's probability under the noise that was drawn; `None` where the sweep cannot have ended with these
/// counts.
fn lower_bound(certification: &Certification, sweep: &Sweep) -> Option<Probability> {
    let spec = &sweep.certify;
    let is_of_sweep = certification.n0 == spec.n0.get() && certification.alpha == spec.alpha;
    certify::bound(spec, certification.count, certification.n).filter(|_| is_of_sweep)
}

#[cfg(test)]
mod tests;
