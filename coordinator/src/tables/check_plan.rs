//! Checks that the bound and the number of draws of a record are those that the counts of its
//! selection phase choose.

use anyhow::{Result, bail, ensure};
use ddrs_common::certify::EstimationPlan;
use ddrs_common::domain::{Certification, Class, Outcome, RunnerUp, SelectionCounts};
use ddrs_common::spec::{BoundRule, CertifySpec};

/// The rules for the selection phase of one variant.
pub(super) struct PlanRules<'a> {
    pub(super) spec: &'a CertifySpec,
    /// The number of classes.
    pub(super) classes: u32,
    /// True for runs of a version that did not record the counts.
    pub(super) may_lack_counts: bool,
}

impl PlanRules<'_> {
    /// Checks a record that is bounded by this rule.
    ///
    /// # Errors
    /// When its counts are missing or not possible, or choose another bound or number of draws.
    pub(super) fn check(&self, certification: &Certification, rule: BoundRule) -> Result<()> {
        match (certification.n0_counts, self.spec.uses_selection_counts()) {
            (Some(selected), true) => {
                self.check_counts(certification, selected)?;
                self.check_plan(certification, selected, rule)
            }
            (None, true) => {
                ensure!(
                    self.may_lack_counts,
                    "it lacks n0_count, which decides its n"
                );
                Ok(())
            }
            (Some(_), false) => bail!("it has n0_count, but no rule of the sweep uses it"),
            (None, false) => Ok(()),
        }
    }

    /// Checks that the guess is the most frequent class, and the runner-up that of the others; the
    /// lowest among equals.
    fn check_counts(&self, found: &Certification, selected: SelectionCounts) -> Result<()> {
        let SelectionCounts { guess, runner_up } = selected;
        let left = found.n0 - guess - runner_up;
        let others = u128::from(self.classes.saturating_sub(2));
        ensure!(
            u128::from(left) <= others * u128::from(runner_up),
            "its n0_runner_up_count is {runner_up}, but no other class has more, and {left} draws \
             are left for {others} classes"
        );
        ensure!(
            guess > runner_up || !is_after_runner_up(found),
            "its runner_up has as many of the n0 draws as its prediction and comes before it"
        );
        Ok(())
    }

    fn check_plan(
        &self,
        certification: &Certification,
        selected: SelectionCounts,
        rule: BoundRule,
    ) -> Result<()> {
        let plan = EstimationPlan::new(self.spec, selected);
        let n = certification.n;
        ensure!(
            rule == plan.rule,
            "its bound is {}, but its n0_count and n0_runner_up_count choose {}",
            rule.as_str(),
            plan.rule.as_str()
        );
        ensure!(
            n == plan.end || plan.may_stop_early(self.spec),
            "its n is {n}, but its n0_count chooses {}",
            plan.end
        );
        Ok(())
    }
}

/// Returns true if the number of the predicted class is above that of the runner-up.
fn is_after_runner_up(certification: &Certification) -> bool {
    match (certification.outcome, certification.runner_up) {
        (
            Outcome::Certified { class, .. },
            Some(RunnerUp {
                class: Class(other),
                ..
            }),
        ) => class.0 > other,
        _ => false,
    }
}
