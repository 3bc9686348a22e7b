//! P(Bin(n, p) >= k) with a bound on its error.
//!
//! The direct form ln C(n, k) + k ln p + (n - k) ln q cancels: at n = 10^6 it is off by 1e-9.
//! Loader's saddle-point form (C. Loader, "Fast and accurate computation of binomial
//! probabilities", 2000; R's `dbinom`) has no such cancellation, and the rest of the tail is a
//! series of positive terms.

use std::f64::consts::PI;

use super::UNIT_ROUNDOFF;
use crate::domain::Alpha;

/// ln P(Bin(n, p) >= k), computed by [`BinomialTail::at`].
#[derive(Debug, Clone, Copy)]
pub(super) struct BinomialTail {
    /// The logarithm of the tail.
    pub(super) ln: f64,
    /// A bound on the error of `ln`.
    pub(super) error: f64,
    /// The tail divided by its first term, P(Bin(n, p) = k).
    pub(super) ratio: f64,
}

impl BinomialTail {
    /// Evaluates the tail for 1 <= k <= n < 2^53 and 0 < p < 1.
    ///
    /// `error` adds up first-order bounds, in units of 2^-53. A deviance is off by at most 42 of
    /// its slope's distance |k - np| and 10 of itself, a Stirling error by 40, the logarithms and
    /// sums by a few of the density's parts, and `ratio` by 5 for each of its terms. Each is
    /// counted with room to spare.
    pub(super) fn at(k: u64, n: u64, p: f64) -> Self {
        let density = LnDensity::at(k, n, p);
        let tail = tail_ratio(k as f64, n as f64, p);
        Self {
            ln: density.ln + tail.ratio.ln(),
            error: UNIT_ROUNDOFF * (128.0 * (density.parts + 4.0) + 8.0 * tail.terms),
            ratio: tail.ratio,
        }
    }
}

/// ln P(Bin(n, p) = k).
struct LnDensity {
    ln: f64,
    /// The sum of the sizes of its parts, to which its rounding error is proportional.
    parts: f64,
}

impl LnDensity {
    /// Evaluates Loader's saddle-point form.
    fn at(k: u64, n: u64, p: f64) -> Self {
        if k == n {
            return Self::of_unanimous_draws(n, p);
        }
        let count = k as f64;
        let rest = (n - k) as f64;
        let trials = n as f64;
        let stirling = stirling_error(n) - stirling_error(k) - stirling_error(n - k);
        let deviance = deviance(count, trials * p) + deviance(rest, trials * (1.0 - p));
        let spread = 0.5 * (trials / (2.0 * PI * count * rest)).ln();
        Self {
            ln: stirling - deviance + spread,
            parts: deviance + spread.abs() + (count - trials * p).abs(),
        }
    }
}

impl LnDensity {
    /// ln p^n: all draws agree.
    fn of_unanimous_draws(n: u64, p: f64) -> Self {
        let ln = n as f64 * p.ln();
        Self {
            ln,
            parts: ln.abs(),
        }
    }
}

/// The quotient of a tail and its first term.
struct TailRatio {
    ratio: f64,
    /// The number of terms summed.
    terms: f64,
}

/// Sums P(X >= k) / P(X = k) = 1 + r_k + r_k r_(k+1) + ..., where r_j = (n - j) p / ((j + 1) q).
///
/// The ratios r_j fall, so once they are below one a geometric series bounds the terms that are
/// left out; the bound is added. r_n is 0, so there are at most n - k + 1 terms.
fn tail_ratio(k: f64, n: f64, p: f64) -> TailRatio {
    let odds = p / (1.0 - p);
    let mut sum = 1.0;
    let mut term = 1.0;
    let mut j = k;
    while j < n {
        let r = (n - j) / (j + 1.0) * odds;
        term *= r;
        if r < 1.0 && term / (1.0 - r) <= sum * UNIT_ROUNDOFF {
            sum += term / (1.0 - r);
            break;
        }
        sum += term;
        j += 1.0;
    }
    #[cfg(test)]
    effort::add(j - k + 1.0);
    TailRatio {
        ratio: sum,
        terms: j - k + 1.0,
    }
}

/// Counts the terms that the calling thread sums, for tests that searches end.
#[cfg(test)]
pub(super) mod effort {
    use std::cell::Cell;

    thread_local!(static TERMS: Cell<f64> = const { Cell::new(0.0) });

    pub(super) fn add(terms: f64) {
        TERMS.set(TERMS.get() + terms);
    }

    /// Returns the terms that `work` sums.
    pub(in crate::stats) fn of<T>(work: impl FnOnce() -> T) -> f64 {
        let before = TERMS.get();
        work();
        TERMS.get() - before
    }
}

/// A number not above ln alpha. It allows for a double `alpha` above the decimal that it was
/// written as.
pub(super) fn ln_from_below(alpha: Alpha) -> f64 {
    let ln = alpha.get().ln();
    ln - f64::EPSILON * (2.0 + 2.0 * ln.abs())
}

/// ln(n! / (sqrt(2 pi n) (n/e)^n)) for n >= 1, by Stirling's series, and below 16 by its
/// recurrence.
pub(super) fn stirling_error(n: u64) -> f64 {
    let x = n as f64;
    if n < 16 {
        return stirling_error(n + 1) + ((x + 0.5) * (1.0 / x).ln_1p() - 1.0);
    }
    stirling_series(x)
}

fn stirling_series(x: f64) -> f64 {
    let s = 1.0 / (x * x);
    let series = 1.0 / 1260.0 - s * (1.0 / 1680.0 - s * (1.0 / 1188.0 - s * (691.0 / 360_360.0)));
    (1.0 / 12.0 - s * (1.0 / 360.0 - s * series)) / x
}

/// x ln(x/m) + m - x for x, m > 0 (Loader's `bd0`). Where x is near m it is summed without
/// cancellation, as (x - m) v + 2x (v^3/3 + v^5/5 + ...), v = (x - m)/(x + m).
pub(super) fn deviance(x: f64, m: f64) -> f64 {
    if (x - m).abs() >= 0.1 * (x + m) {
        x * (x / m).ln() + m - x
    } else {
        deviance_near(x, m)
    }
}

fn deviance_near(x: f64, m: f64) -> f64 {
    let v = (x - m) / (x + m);
    let mut sum = (x - m) * v;
    let mut power = 2.0 * x * v;
    // |v| is below 1/10, so a dozen terms suffice.
    for odd in (3..100).step_by(2) {
        power *= v * v;
        let next = sum + power / f64::from(odd);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

#[cfg(test)]
#[allow(clippy::unreadable_literal)]
mod tests {
    use super::*;

    /// k, n, p and ln P(Bin(n, p) >= k), by summing exact terms at 60 digits.
    const TRUE_TAILS: &[(u64, u64, f64, f64)] = &[
        (1, 1, 0.001, -6.907755278982137),
        (1, 2, 0.3, -0.6733445532637656),
        (3, 7, 0.25, -1.4122634227905004),
        (5, 10, 0.99, -2.0289394128058406e-10),
        (15, 16, 0.7, -3.6453760668425614),
        (16, 33, 0.125, -14.512331713080526),
        (99, 100, 0.91, -7.043212919310991),
        (100, 100, 0.9375, -6.453852113757117),
        (1, 100_000, 1e-08, -6.908255232317971),
        (1, 1_000, 0.01, -4.317217931578084e-05),
        (501, 1_000, 0.452, -6.857318581092581),
        (10_000, 10_000, 0.9993, -7.002451143934259),
        (50_600, 100_000, 0.5011, -6.926919237943941),
        (75_000, 100_000, 0.7457, -7.022618274823967),
        (75_000, 100_000, 0.7, -620.7614794785493),
        (99_999, 100_000, 0.9999, -7.602513846486541),
        (40_000, 100_000, 0.405, -0.0006276083909799322),
        (870_000, 1_000_000, 0.869, -6.494039871790245),
        (500_500, 1_000_000, 0.5, -1.839496909910938),
        (999_999, 1_000_000, 0.99999, -7.602145636534914),
        (600_000_000, 1_000_000_000, 0.59995, -7.378417582195734),
        (999_990_000, 1_000_000_000, 0.99998, -3073.4092700689257),
    ];

    #[test]
    fn a_tail_is_within_the_error_it_states() {
        for &(k, n, p, truth) in TRUE_TAILS {
            let tail = BinomialTail::at(k, n, p);
            // The truth is itself rounded to a double.
            let allowed = tail.error + f64::EPSILON * truth.abs();
            assert!(
                (tail.ln - truth).abs() <= allowed,
                "k {k} n {n} p {p}: {tail:?}, not {truth}"
            );
            assert!(
                tail.error < 1e-12 * (n as f64).sqrt(),
                "k {k} n {n} p {p}: {tail:?}"
            );
        }
    }

    #[test]
    fn the_tails_of_a_fair_coin_are_those_that_counting_gives() {
        let binomials = [
            1.0, 12.0, 66.0, 220.0, 495.0, 792.0, 924.0, 792.0, 495.0, 220.0, 66.0, 12.0, 1.0,
        ];
        for k in 1..=12_usize {
            let counted = (binomials[k..].iter().sum::<f64>() / 4096.0).ln();
            let tail = BinomialTail::at(k as u64, 12, 0.5);
            assert!(
                (tail.ln - counted).abs() <= tail.error + f64::EPSILON * counted.abs(),
                "k {k}: {tail:?}"
            );
        }
    }
}
