//! Chooses between the bound of one class and that of two.
//!
//! With one class bounded, all other draws count as if they were of one class. Where they are
//! spread over several classes, bounds on these certify a larger radius, also of a guess below 1/2
//! ([`SampleBounds`]). Where they are not, the part of alpha that those bounds take makes the
//! radius a little smaller.

use super::class_bounds::EstimationCounts;
use super::stopping::SampleBounds;
use crate::domain::{Radius, SelectionCounts, Sigma};
use crate::grid::GridLoss;
use crate::spec::{BoundRule, CertifySpec};

/// The largest share of the selection draws, in percent, that may give the guess. Above it the
/// other bounds gain little, and alpha/3 can lose a part of the largest radii.
const LARGEST_SHARE: u128 = 95;

/// Chooses the bound from the selection draws alone: that of two classes where the specification
/// allows it, other classes than the runner-up were drawn, and `n` draws in the same shares would
/// give it at least the radius of the bound of one class.
pub(super) fn choose(spec: &CertifySpec, selected: SelectionCounts) -> BoundRule {
    match spec.bound {
        BoundRule::TwoClass if may_gain(spec, selected) && gains(spec, selected) => {
            BoundRule::TwoClass
        }
        BoundRule::OneClass | BoundRule::TwoClass => BoundRule::OneClass,
    }
}

fn may_gain(spec: &CertifySpec, selected: SelectionCounts) -> bool {
    let n0 = spec.n0.get();
    let others_were_drawn = selected.guess + selected.runner_up < n0;
    others_were_drawn && 100 * u128::from(selected.guess) <= LARGEST_SHARE * u128::from(n0)
}

fn gains(spec: &CertifySpec, selected: SelectionCounts) -> bool {
    let counts = EstimationCounts {
        n: spec.n.get(),
        count: scaled(spec, selected.guess),
        runner_up: scaled(spec, selected.runner_up),
    };
    // An abstention counts as less than every radius.
    expected_radius(spec, BoundRule::TwoClass, counts)
        >= expected_radius(spec, BoundRule::OneClass, counts)
}

/// The share of the selection draws as a count of `n` draws.
fn scaled(spec: &CertifySpec, selected: u64) -> u64 {
    let scaled = u128::from(selected) * u128::from(spec.n.get()) / u128::from(spec.n0.get());
    scaled as u64
}

/// The radius per sigma that these counts would certify; `None` for an abstention.
fn expected_radius(
    spec: &CertifySpec,
    rule: BoundRule,
    counts: EstimationCounts,
) -> Option<Radius> {
    let sample = SampleBounds {
        spec,
        sigma: Sigma::new(1.0).expect("1 is a sigma"),
        loss: GridLoss::NONE,
    };
    sample.radius(sample.of(rule, counts)?)
}

#[cfg(test)]
mod tests;
