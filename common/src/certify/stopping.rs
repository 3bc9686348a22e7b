//! Decides when the draws that bound a probability end, and computes the bound under each rule.

use crate::domain::{Alpha, Probability, Radii, Radius, Sigma};
use crate::grid::GridLoss;
use crate::spec::{CertifySpec, Stopping};
use crate::stats;

/// The probability of giving up a sample whose next radius `n` draws would certify: 1 in 10,000. It
/// costs agreement with the fixed rule, never soundness.
const GIVE_UP: f64 = 1e-4;

/// The lower bound, at confidence 1 - alpha, that `count` of `n` draws give under the
/// specification's stopping rule; `None` for an `n` at which the rule never ends.
///
/// Under `radii` two bounds share alpha. A confidence sequence has one fifth and holds at the end
/// of all chunks together; Clopper-Pearson has four fifths and holds after all `n`. Each fails with
/// at most the probability of its part. Both therefore hold with probability at least 1 - alpha,
/// wherever the draws end, and after all `n` the larger one is the result.
///
/// Under `loss` the draws of the selection phase set the number of draws before the first of them
/// is made. Given this number, Clopper-Pearson has all of alpha.
#[must_use]
pub fn bound(spec: &CertifySpec, count: u64, n: u64) -> Option<Probability> {
    if !may_end(spec, n) || count > n {
        return None;
    }
    let Some(before_n) = spec.stopping.alpha_before_n(spec.alpha) else {
        return Some(stats::lower_bound(count, n, spec.alpha));
    };
    let sequence = stats::sequence_bound(count, n, before_n);
    if n < spec.n.get() {
        return Some(sequence);
    }
    let fixed = stats::lower_bound(count, n, spec.stopping.alpha_at_n(spec.alpha));
    Some(larger(fixed, sequence))
}

fn larger(a: Probability, b: Probability) -> Probability {
    if a > b { a } else { b }
}

/// The number of the `left` draws after which the stopping rule looks at the counts.
pub(super) fn draws_at_once(spec: &CertifySpec, left: u64) -> u64 {
    match spec.stopping {
        Stopping::Radii(_) => left.min(spec.chunk.get()),
        Stopping::Fixed | Stopping::Loss(_) => left,
    }
}

/// Returns true if the draws may end after `n`.
fn may_end(spec: &CertifySpec, n: u64) -> bool {
    let at_end_of_chunk = n > 0 && n < spec.n.get() && n % spec.chunk == 0;
    n == spec.n.get() || (spec.stopping != Stopping::Fixed && at_end_of_chunk)
}

/// Draws of the estimation phase.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Counts {
    /// The number of draws.
    pub(super) drawn: u64,
    /// The number of them that gave the guess.
    pub(super) count: u64,
}

/// The settings of one sample's bounds and radii.
#[derive(Debug, Clone, Copy)]
pub struct SampleBounds<'a> {
    /// The specification.
    pub spec: &'a CertifySpec,
    /// The sigma of the noise.
    pub sigma: Sigma,
    /// The loss of the certificate because the noise is drawn on a grid.
    pub loss: GridLoss,
}

impl SampleBounds<'_> {
    /// The lower bound that these draws give, see [`bound`], under exact noise.
    pub(super) fn lower(&self, counts: Counts) -> Option<Probability> {
        let drawn = bound(self.spec, counts.count, counts.drawn)?;
        Some(self.loss.lower(self.sigma, drawn))
    }

    /// The radius that a bound certifies. An abstention certifies none, not even 0.
    pub(super) fn certified(&self, p_lower: Probability) -> Option<Radius> {
        self.loss.certified_radius(self.sigma, p_lower)
    }
}

/// A radius, and the number of `n` draws that must give the guess to certify it; `None` if even `n`
/// draws that agree would not. It is kept between chunks, because computing it takes time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Goal {
    radius: Radius,
    needed: Option<u64>,
}

/// The radii to decide for one sample.
pub(super) struct Target<'a> {
    bounds: SampleBounds<'a>,
    radii: &'a Radii,
}

impl<'a> Target<'a> {
    pub(super) fn new(bounds: SampleBounds<'a>, radii: &'a Radii) -> Self {
        Self { bounds, radii }
    }

    /// Returns true if it is known which radii are certified: the present bound certifies some of
    /// them, and the next one is out of reach. The result depends on the counts alone, so it does
    /// not matter how often the question was asked before.
    ///
    /// `goal` caches the last goal of the same sample.
    pub(super) fn is_decided(&self, counts: Counts, goal: &mut Option<Goal>) -> bool {
        let Some(p_lower) = self.bounds.lower(counts) else {
            return false;
        };
        match self.next_radius(p_lower) {
            Some(next) => self.is_out_of_reach(counts, self.goal(next, goal)),
            None => true,
        }
    }

    /// The smallest radius that the bound does not certify.
    fn next_radius(&self, p_lower: Probability) -> Option<Radius> {
        let certified = self.bounds.certified(p_lower);
        let mut radii = self.radii.iter();
        radii.find(|&radius| certified.is_none_or(|certified| certified < radius))
    }

    /// The goal for `radius`: the cached one, or a new one that is then cached.
    fn goal(&self, radius: Radius, cached: &mut Option<Goal>) -> Goal {
        match *cached {
            Some(goal) if goal.radius == radius => goal,
            _ => *cached.insert(Goal {
                radius,
                needed: self.needed(radius),
            }),
        }
    }

    fn is_out_of_reach(&self, counts: Counts, goal: Goal) -> bool {
        let give_up = Alpha::new(GIVE_UP).expect("the constant is between 0 and 1");
        let n = self.bounds.spec.n.get();
        goal.needed.is_none_or(|needed| {
            stats::out_of_reach(counts.count, counts.drawn, needed, n, give_up)
        })
    }

    /// The least count of `n` draws whose bound certifies `radius`.
    fn needed(&self, radius: Radius) -> Option<u64> {
        let n = self.bounds.spec.n.get();
        if !self.certifies(n, radius) {
            return None;
        }
        // The estimate is at most a few counts off; checking the neighbours corrects it.
        let mut count = self.estimate_needed(radius).unwrap_or(n);
        while count > 1 && self.certifies(count - 1, radius) {
            count -= 1;
        }
        while !self.certifies(count, radius) {
            count += 1;
        }
        Some(count)
    }

    fn estimate_needed(&self, radius: Radius) -> Option<u64> {
        let SampleBounds { spec, sigma, loss } = self.bounds;
        let p = stats::probability_at(sigma, loss.around_grid_point(radius));
        let alpha = spec.stopping.alpha_at_n(spec.alpha);
        stats::least_count(spec.n.get(), p, alpha)
    }

    /// Returns true if `count` of all `n` draws certify `radius`.
    fn certifies(&self, count: u64, radius: Radius) -> bool {
        let drawn = self.bounds.spec.n.get();
        let bound = self.bounds.lower(Counts { drawn, count });
        bound.and_then(|p_lower| self.bounds.certified(p_lower)) >= Some(radius)
    }
}
