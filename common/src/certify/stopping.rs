//! When the draws that bound may end, and what a count is worth under each rule.

use crate::domain::{Alpha, Probability, Radii, Radius, Sigma};
use crate::spec::{CertifySpec, Stopping};
use crate::stats;

/// How often a sample whose next radius `n` draws would certify may be given up before: 1 in
/// 10,000. It costs agreement with the fixed rule, never soundness.
const GIVE_UP: f64 = 1e-4;

/// The lower bound, at confidence 1 - alpha, that `count` of `n` draws give under the
/// specification's stopping rule. None for an `n` at which no rule of the specification ends.
///
/// For `radii` two bounds share alpha: a confidence sequence has a fifth and holds at the end of
/// all chunks together, Clopper-Pearson has four fifths and holds after all `n`. Either fails with
/// no more probability than its part, so that both hold, wherever the draws ended, with probability
/// at least 1 - alpha; after all `n` the larger one counts. For `loss` the number of draws was
/// settled before the first of them, by draws of another phase, so that given this number
/// Clopper-Pearson has all of alpha.
#[must_use]
pub fn bound(spec: &CertifySpec, count: u64, n: u64) -> Option<Probability> {
    let whole = n == spec.n.get();
    let may_end = whole
        || spec.stopping != Stopping::Fixed && n < spec.n.get() && n % spec.chunk == 0 && n > 0;
    if !may_end || count > n {
        return None;
    }
    let Some(before_n) = spec.stopping.alpha_before_n(spec.alpha) else {
        return Some(stats::lower_bound(count, n, spec.alpha));
    };
    let sequence = stats::sequence_bound(count, n, before_n);
    if !whole {
        return Some(sequence);
    }
    let fixed = stats::lower_bound(count, n, spec.stopping.alpha_at_n(spec.alpha));
    Some(if fixed > sequence { fixed } else { sequence })
}

/// A radius that was looked up, and how often the guess must come in `n` draws to certify it. None
/// where even `n` that agree would not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Goal {
    radius: Radius,
    needed: Option<u64>,
}

/// Whether it is known which of `radii` are certified: the bound at hand certifies some of them,
/// and the next is out of reach. A function of `count` and `drawn` alone, so it does not matter how
/// often it was asked before.
///
/// `goal` keeps what was looked up last, for the same sample.
pub(super) fn decided(
    spec: &CertifySpec,
    radii: &Radii,
    sigma: Sigma,
    count: u64,
    drawn: u64,
    goal: &mut Option<Goal>,
) -> bool {
    let Some(p_lower) = bound(spec, count, drawn) else {
        return false;
    };
    let reached = certified(sigma, p_lower);
    let Some(next) = radii
        .iter()
        .find(|&radius| reached.is_none_or(|reached| reached < radius))
    else {
        return true;
    };
    let Goal { needed, .. } = match *goal {
        Some(known) if known.radius == next => known,
        _ => *goal.insert(Goal {
            radius: next,
            needed: needed(spec, sigma, next),
        }),
    };
    let give_up = Alpha::new(GIVE_UP).expect("the constant is between 0 and 1");
    needed.is_none_or(|needed| stats::out_of_reach(count, drawn, needed, spec.n.get(), give_up))
}

/// The radius that a bound certifies. An abstention certifies none, not even 0.
fn certified(sigma: Sigma, p_lower: Probability) -> Option<Radius> {
    (p_lower.get() > 0.5).then(|| stats::radius(sigma, p_lower))
}

/// The least count of `n` draws whose bound certifies `radius`.
fn needed(spec: &CertifySpec, sigma: Sigma, radius: Radius) -> Option<u64> {
    let n = spec.n.get();
    let enough = |count: u64| {
        bound(spec, count, n).and_then(|p_lower| certified(sigma, p_lower)) >= Some(radius)
    };
    if !enough(n) {
        return None;
    }
    let p = stats::probability_at(sigma, radius);
    // The guess is at most a few counts off; what it is off by is found by asking.
    let mut count = stats::least_count(n, p, spec.stopping.alpha_at_n(spec.alpha)).unwrap_or(n);
    while count > 1 && enough(count - 1) {
        count -= 1;
    }
    while !enough(count) {
        count += 1;
    }
    Some(count)
}
