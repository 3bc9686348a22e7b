//! Checks that a record whose level was selected follows from its counts.

use anyhow::{Context, Result, ensure};
use ddrs_common::certify::{self, SelectedRules};
use ddrs_common::domain::{
    Certification, Class, LevelSelection, Outcome, Probability, Radius, Sigma,
};
use ddrs_common::grid::GridLoss;
use ddrs_common::spec::{CertifySpec, SelectedSpec, Sweep};

/// Computes every bound of a record again, and its radius.
///
/// # Errors
/// When a number differs from what the counts and the specification give.
pub(super) fn check_selected(
    certification: &Certification,
    sweep: &Sweep,
    selected: &SelectedSpec,
    loss: GridLoss,
) -> Result<()> {
    let loss = loss.at_distance(certification.off_grid);
    let rules = SelectedRules::new(&sweep.certify, selected, loss);
    let claimed = certification.level.as_deref();
    let claimed = claimed.context("it lacks the draws of the selector")?;
    let expected = rules.check_selection(claimed);
    ensure!(
        expected.as_ref() == Some(claimed),
        "the bounds of its selector differ from those that its counts give"
    );
    check_settings(certification, sweep, selected, claimed)?;
    let at_level = class_at_level(certification, &sweep.certify, loss)?;
    check_outcome(certification.outcome, rules.outcome(claimed, at_level))
}

fn check_settings(
    certification: &Certification,
    sweep: &Sweep,
    selected: &SelectedSpec,
    claimed: &LevelSelection,
) -> Result<()> {
    let level = &selected.levels[claimed.level as usize];
    check_sigma("sigma", certification.sigma, level.sigma)?;
    check_sigma("sigma0", certification.sigma0, selected.tau)?;
    let alpha = sweep.certify.alpha;
    ensure!(
        certification.alpha == alpha,
        "its alpha is {}, but the sweep's is {alpha}",
        certification.alpha
    );
    Ok(())
}

fn check_sigma(field: &str, found: Sigma, expected: Sigma) -> Result<()> {
    ensure!(
        found == expected,
        "its {field} is {found}, but that of its level is {expected}"
    );
    Ok(())
}

/// The outcome at the chosen level alone. Where no expert was asked, it abstains.
fn class_at_level(
    certification: &Certification,
    spec: &CertifySpec,
    loss: GridLoss,
) -> Result<Outcome> {
    let Certification { n0, n, count, .. } = *certification;
    let (p_lower, is_of_sweep) = match n {
        0 => (Some(Probability::ZERO), n0 == 0),
        _ => (certify::bound(spec, count, n), n0 == spec.n0.get()),
    };
    let p_lower = p_lower.filter(|_| is_of_sweep);
    let p_lower = p_lower.context("its n or n0 differ from the sweep's")?;
    let p_lower = if n == 0 {
        p_lower
    } else {
        loss.lower(certification.sigma, p_lower)
    };
    ensure!(
        p_lower == certification.p_lower,
        "its p_lower is {}, but its counts give {p_lower}",
        certification.p_lower
    );
    let radius = loss.certified_radius(certification.sigma, p_lower);
    Ok(
        radius.map_or(Outcome::Abstained, |radius| Outcome::Certified {
            class: class(certification.outcome),
            radius,
        }),
    )
}

/// The class of a certificate. An abstention names none, and its radius does not depend on it.
fn class(outcome: Outcome) -> Class {
    match outcome {
        Outcome::Certified { class, .. } => class,
        Outcome::Abstained => Class(0),
    }
}

fn check_outcome(found: Outcome, expected: Outcome) -> Result<()> {
    let [found, expected] = [found, expected].map(radius);
    ensure!(
        found == expected,
        "its radius is {found}, but its counts and sigmas give {expected}"
    );
    Ok(())
}

fn radius(outcome: Outcome) -> Radius {
    match outcome {
        Outcome::Certified { radius, .. } => radius,
        Outcome::Abstained => Radius::ZERO,
    }
}
