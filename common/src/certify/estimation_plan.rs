//! The estimation phase as the counts of the selection phase plan it.

use super::{pilot, two_class};
use crate::domain::SelectionCounts;
use crate::spec::{BoundRule, CertifySpec, Stopping};

/// The classes that are bounded, and the largest number of draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EstimationPlan {
    /// The classes that are bounded.
    pub rule: BoundRule,
    /// The largest number of draws.
    pub end: u64,
}

impl EstimationPlan {
    /// Plans the estimation phase from the selection draws alone, so that its own draws stay
    /// independent of the plan.
    #[must_use]
    pub fn new(spec: &CertifySpec, selected: SelectionCounts) -> Self {
        let rule = two_class::choose(spec, selected);
        let end = match rule {
            BoundRule::OneClass => pilot::largest_number_of_draws(spec, selected.guess),
            BoundRule::TwoClass => spec.n.get(),
        };
        Self { rule, end }
    }

    /// Returns true if the draws stop early once the radii of the specification are decided.
    #[must_use]
    pub fn may_stop_early(&self, spec: &CertifySpec) -> bool {
        self.rule == BoundRule::OneClass && matches!(spec.stopping, Stopping::Radii(_))
    }
}
