//! Chooses the number of draws that bound a probability, from the draws that guessed the class.

use std::f64::consts::FRAC_PI_2;

use crate::spec::{CertifySpec, Stopping};
use crate::stats;

/// The number of probabilities that stand for the posterior: two per standard deviation. At this
/// distance, the mean over a smooth density's values equals the integral to many digits.
const NODES: u32 = 25;
/// The range of the posterior that counts, in standard deviations to each side.
const SPREAD: f64 = 6.0;

/// The largest number of draws that bound a probability, where `count` of `spec.n0` other draws
/// gave the guess.
pub(super) fn largest_number_of_draws(spec: &CertifySpec, count: u64) -> u64 {
    match spec.stopping {
        Stopping::Fixed | Stopping::Radii(_) => spec.n.get(),
        Stopping::Loss(loss) => draws(spec, loss, count),
    }
}

/// The number of draws to make if `count` of `spec.n0` draws gave the guess: the smallest multiple
/// of the chunk, at most `n`, whose expected radius is at least (1 - `loss`) times that of `n`. The
/// idea is that of R. Chen, J. Li, J. Yan, P. Li & B. Sheng, "Input-specific robustness
/// certification for randomized smoothing" (2022), with an expectation where they have an interval.
///
/// There are two expectations, and neither may lose more than `loss`: one over the class's
/// probability p given those draws, with Jeffreys' prior, and one at p = count / n0. The second
/// matters where all draws agree: p of a network is then often nearer to 1 than the prior makes it,
/// and near 1 a given loss takes the most draws. The count of n draws is taken as the one that p
/// makes most likely, to a whole number. Radii are multiples of sigma, so sigma does not enter.
pub(super) fn draws(spec: &CertifySpec, loss: f64, count: u64) -> u64 {
    let pilot = Pilot::new(spec, count);
    let chunk = spec.chunk.get();
    let n = spec.n.get();
    let goal = pilot.radii(n).map(|radius| (1.0 - loss) * radius);
    let chunks = stats::first(n.div_ceil(chunk), |chunks| {
        pilot.reaches(chunks * chunk, goal)
    });
    n.min(chunks * chunk)
}

/// The draws of the selection phase, and what they say of the guess's probability.
struct Pilot<'a> {
    spec: &'a CertifySpec,
    /// The share of draws that gave the guess.
    share: f64,
    posterior: Vec<(f64, f64)>,
}

impl<'a> Pilot<'a> {
    fn new(spec: &'a CertifySpec, count: u64) -> Self {
        let n0 = spec.n0.get();
        Self {
            spec,
            share: count as f64 / n0 as f64,
            posterior: posterior(count, n0),
        }
    }

    /// The radii per sigma that `n` draws are expected to certify: at the share, and over the
    /// posterior.
    fn radii(&self, n: u64) -> [f64; 2] {
        [quantile(self.spec, self.share, n), self.expected(n)]
    }

    fn expected(&self, n: u64) -> f64 {
        self.posterior
            .iter()
            .map(|&(p, weight)| weight * quantile(self.spec, p, n))
            .sum()
    }

    /// Returns true if `n` draws reach both goals. The posterior is left out if the first is
    /// missed.
    fn reaches(&self, n: u64, [at_share, expected]: [f64; 2]) -> bool {
        quantile(self.spec, self.share, n) >= at_share && self.expected(n) >= expected
    }
}

/// The quantile that `n` draws certify where a share p of them, to the nearest whole number, gives
/// the guess.
fn quantile(spec: &CertifySpec, p: f64, n: u64) -> f64 {
    let count = ((p * n as f64).round() as u64).min(n);
    // A class without a majority has no radius.
    if 2 * count <= n {
        0.0
    } else {
        stats::quantile_lower(stats::lower_bound(count, n, spec.alpha))
    }
}

/// Probabilities and their weights, of sum 1: Beta(count + 1/2, n0 - count + 1/2) in the angle t
/// with p = sin^2 t, where it is proportional to sin^(2 count) t cos^(2 (n0 - count)) t, smooth up
/// to both ends.
fn posterior(count: u64, n0: u64) -> Vec<(f64, f64)> {
    let density = Density::new(count, n0);
    let mut nodes: Vec<(f64, f64)> = (0..NODES).map(|i| density.node(i)).collect();
    normalise(&mut nodes);
    nodes
}

/// Scales the weights to a sum of 1.
fn normalise(nodes: &mut [(f64, f64)]) {
    let sum: f64 = nodes.iter().map(|&(_, weight)| weight).sum();
    for (_, weight) in nodes {
        *weight /= sum;
    }
}

/// The posterior's density in the angle, divided by its value at the mode.
struct Density {
    /// The draws that gave the guess.
    k: f64,
    /// The other draws.
    rest: f64,
    ln_at_mode: f64,
    /// The range of angles that counts.
    from: f64,
    to: f64,
}

impl Density {
    fn new(count: u64, n0: u64) -> Self {
        let k = count as f64;
        let rest = (n0 - count) as f64;
        let draws = n0 as f64;
        let mode = (k / draws).sqrt().asin();
        let reach = SPREAD * 0.5 / draws.sqrt();
        Self {
            k,
            rest,
            ln_at_mode: ln_power(k / draws, k) + ln_power(rest / draws, rest),
            from: (mode - reach).max(0.0),
            to: (mode + reach).min(FRAC_PI_2),
        }
    }

    fn angle(&self, i: u32) -> f64 {
        self.from + (self.to - self.from) * f64::from(i) / f64::from(NODES - 1)
    }

    /// The probability and the weight of node `i`, by the trapezoidal rule.
    fn node(&self, i: u32) -> (f64, f64) {
        let angle = self.angle(i);
        let p = angle.sin().powi(2);
        let q = angle.cos().powi(2);
        let end = end_factor(i);
        let ln = ln_power(p, self.k) + ln_power(q, self.rest) - self.ln_at_mode;
        (p, end * ln.exp())
    }
}

/// The trapezoidal rule counts the first and the last node by half.
fn end_factor(i: u32) -> f64 {
    if i == 0 || i == NODES - 1 { 0.5 } else { 1.0 }
}

/// ln(base^power), and 0 for the power 0 of any base.
fn ln_power(base: f64, power: f64) -> f64 {
    if power == 0.0 { 0.0 } else { power * base.ln() }
}

#[cfg(test)]
mod tests;
