//! Checks the draws of a selector, and of the levels that it may select, against the specification.

use anyhow::{Context, Result, ensure};
use ddrs_common::certify::SelectedRules;
use ddrs_common::domain::{Certification, LevelSelection, Probability, Radius, Sigma};
use ddrs_common::spec::SelectedSpec;

/// Computes the bounds of a selection again. Returns the selection, which is then known to be
/// valid.
///
/// # Errors
/// When a number differs from what the counts and the specification give.
pub(super) fn check_selection<'a>(
    certification: &'a Certification,
    rules: &SelectedRules,
    levels: &SelectedSpec,
) -> Result<&'a LevelSelection> {
    let claimed = certification.level.as_deref();
    let claimed = claimed.context("it lacks the draws of the selector")?;
    let expected = rules.check_selection(claimed);
    ensure!(
        expected.as_ref() == Some(claimed),
        "the bounds of its selector differ from those that its counts give"
    );
    ensure!(
        rules.follows_pilots(claimed),
        "the draws of its selector, or of another level, do not end where n0_count says"
    );
    let level = &levels.levels[claimed.level as usize];
    check_sigma("sigma", certification.sigma, level.sigma)?;
    check_sigma("sigma0", certification.sigma0, levels.tau)?;
    Ok(claimed)
}

/// Checks an abstention for which no expert was asked.
///
/// # Errors
/// When the rules would have asked one, or the record has numbers that no draws gave.
pub(super) fn check_without_experts(
    certification: &Certification,
    rules: &SelectedRules,
    selection: &LevelSelection,
) -> Result<()> {
    let Certification { n0, count, .. } = *certification;
    let has_classes = certification.runner_up.is_some()
        || certification.p_upper.is_some()
        || certification.n0_counts.is_some();
    ensure!(
        rules.needs_no_expert(selection),
        "its n is 0, where the sweep's draws do not end"
    );
    ensure!(
        n0 == 0 && count == 0 && certification.p_lower == Probability::ZERO && !has_classes,
        "it has counts or a bound, but no draws of an expert"
    );
    Ok(())
}

/// Checks that the record has the draws of those other levels that the certifier draws. `at_level`
/// is the radius at the chosen level.
///
/// # Errors
/// When a level is missing, or there is one too many.
pub(super) fn check_levels(
    rules: &SelectedRules,
    selection: &LevelSelection,
    at_level: Option<Radius>,
) -> Result<()> {
    ensure!(
        rules.draws_levels(selection, at_level),
        "the other levels that it lists are not those that its counts and the sweep's form draw"
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
