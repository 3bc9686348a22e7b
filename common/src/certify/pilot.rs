//! How many draws are worth their while, from the draws that guessed the class.

use std::f64::consts::FRAC_PI_2;

use crate::spec::CertifySpec;
use crate::stats;

/// Probabilities that stand for the posterior. Two to a standard deviation: so close together, the
/// mean over a smooth density's values is that over the density to many digits.
const NODES: u32 = 25;
/// Standard deviations of the posterior to each side that count.
const SPREAD: f64 = 6.0;

/// The smallest multiple of the chunk, at most `n`, whose expected radius is at least 1 - `loss` of
/// that of `n`, if `count` of `spec.n0` draws gave the guess: the idea of R. Chen, J. Li, J. Yan,
/// P. Li & B. Sheng, "Input-specific robustness certification for randomized smoothing" (2022),
/// with an expectation where they have an interval.
///
/// Expected twice, and both must lose no more: over the class's probability p given those draws,
/// with Jeffreys' prior, and at p = count / n0. The second matters where all draws agree: for
/// networks p is then often nearer to 1 than the prior makes it, where a given loss takes the most
/// draws. The count is that which p makes most likely, to a whole number. Radii are multiples of
/// sigma, so it does not enter.
pub(super) fn draws(spec: &CertifySpec, loss: f64, count: u64) -> u64 {
    let (n, chunk) = (spec.n.get(), spec.chunk.get());
    let posterior = posterior(count, spec.n0.get());
    let expected = |n: u64| -> f64 {
        posterior
            .iter()
            .map(|&(p, weight)| weight * quantile(spec, p, n))
            .sum()
    };
    let likely = |m: u64| quantile(spec, count as f64 / spec.n0.get() as f64, m);
    let (least_expected, least_likely) = ((1.0 - loss) * expected(n), (1.0 - loss) * likely(n));
    let enough = |m: u64| likely(m) >= least_likely && expected(m) >= least_expected;
    let (mut least, mut most) = (1, n.div_ceil(chunk));
    while least < most {
        let middle = least + (most - least) / 2;
        if enough(middle * chunk) {
            most = middle;
        } else {
            least = middle + 1;
        }
    }
    n.min(most * chunk)
}

/// The quantile that `n` draws certify where a share p of them, to the nearest whole number, gives
/// the guess.
fn quantile(spec: &CertifySpec, p: f64, n: u64) -> f64 {
    let count = ((p * n as f64).round() as u64).min(n);
    // What is not a majority has no radius.
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
    let (k, rest, draws) = (count as f64, (n0 - count) as f64, n0 as f64);
    let mode = (k / draws).sqrt().asin();
    let reach = SPREAD * 0.5 / draws.sqrt();
    let (from, to) = ((mode - reach).max(0.0), (mode + reach).min(FRAC_PI_2));
    let ln = |share: f64, power: f64| {
        if power == 0.0 {
            0.0
        } else {
            power * share.ln()
        }
    };
    let at_mode = ln(k / draws, k) + ln(rest / draws, rest);
    let node = |i: u32| {
        let angle = from + (to - from) * f64::from(i) / f64::from(NODES - 1);
        let p = angle.sin().powi(2);
        let end = if i == 0 || i == NODES - 1 { 0.5 } else { 1.0 };
        (
            p,
            end * (ln(p, k) + ln(angle.cos().powi(2), rest) - at_mode).exp(),
        )
    };
    let nodes: Vec<(f64, f64)> = (0..NODES).map(node).collect();
    let sum: f64 = nodes.iter().map(|&(_, weight)| weight).sum();
    nodes
        .into_iter()
        .map(|(p, weight)| (p, weight / sum))
        .collect()
}

#[cfg(test)]
mod tests;
