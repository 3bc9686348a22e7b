//! The bounds that the draws of a sample give, and the certificate that follows from them.

use super::stopping::{Counts, SampleBounds};
use crate::domain::{Class, Outcome, Probability, Radius};
use crate::spec::BoundRule;
use crate::stats;

/// Bounds on the probabilities of the classes under exact noise. They hold together with
/// probability at least 1 - alpha.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassBounds {
    /// The guess has at least this probability.
    pub p_lower: Probability,
    /// Every other class has at most this one; `None` if that is the complement of `p_lower`.
    pub p_upper: Option<Probability>,
}

/// The draws of the estimation phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EstimationCounts {
    /// The number of draws.
    pub n: u64,
    /// The number of them that gave the guess.
    pub count: u64,
    /// The number of them that gave the runner-up.
    pub runner_up: u64,
}

impl SampleBounds<'_> {
    /// The bounds that the draws give under the rule that was chosen for the sample; `None` where
    /// the draws cannot have ended with these counts.
    #[must_use]
    pub fn of(&self, rule: BoundRule, counts: EstimationCounts) -> Option<ClassBounds> {
        match rule {
            BoundRule::OneClass => self.of_one_class(counts),
            BoundRule::TwoClass => self.of_two_classes(counts),
        }
    }

    fn of_one_class(
        &self,
        EstimationCounts { n, count, .. }: EstimationCounts,
    ) -> Option<ClassBounds> {
        let p_lower = self.lower(Counts { drawn: n, count })?;
        Some(ClassBounds {
            p_lower,
            p_upper: None,
        })
    }

    /// Three bounds, each at alpha/3: of the guess from below, of the runner-up from above, and of
    /// all remaining classes, counted as one, from above. Both classes were chosen by the selection
    /// draws, so the three events were fixed before the first of these draws, and all three bounds
    /// hold together with probability at least 1 - alpha. The draws always end after all `n`.
    fn of_two_classes(&self, counts: EstimationCounts) -> Option<ClassBounds> {
        let EstimationCounts {
            n,
            count,
            runner_up,
        } = counts;
        let rest = n.checked_sub(count)?.checked_sub(runner_up)?;
        if n != self.spec.n.get() {
            return None;
        }
        let alpha = BoundRule::alpha_per_class(self.spec.alpha);
        let drawn = stats::lower_bound(count, n, alpha);
        let p_lower = self.loss.lower(self.sigma, drawn);
        let others = stats::upper_bound(runner_up.max(rest), n, alpha);
        let others = self.loss.upper(self.sigma, others);
        Some(ClassBounds {
            p_lower,
            p_upper: Some(smaller(others, stats::complement_above(p_lower))),
        })
    }

    /// The radius within which the guess stays the most probable class (Cohen et al. 2019, Theorem
    /// 1); `None` if the bounds do not show that it is.
    #[must_use]
    pub fn radius(&self, bounds: ClassBounds) -> Option<Radius> {
        let ClassBounds { p_lower, p_upper } = bounds;
        match p_upper {
            None => self.certified(p_lower),
            Some(p_upper) if p_lower > p_upper => {
                let others = stats::complement_below(p_upper);
                self.loss
                    .radius(stats::mean_radius(self.sigma, p_lower, others))
            }
            Some(_) => None,
        }
    }

    /// The certificate of the guess, or an abstention.
    #[must_use]
    pub fn outcome(&self, class: Class, bounds: ClassBounds) -> Outcome {
        match self.radius(bounds) {
            Some(radius) => Outcome::Certified { class, radius },
            None => Outcome::Abstained,
        }
    }
}

fn smaller(a: Probability, b: Probability) -> Probability {
    if a < b { a } else { b }
}
