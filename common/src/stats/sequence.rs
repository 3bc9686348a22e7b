//! Bounds that hold at every number of draws at once, so that one may look at the counts and stop.
//!
//! Both rest on one martingale. Let M be the probability of the draws so far, in their order, if
//! the class's probability had been drawn from Beta(1/2, 1/2), divided by their probability under
//! what is doubted. While what is doubted is true, M has mean 1 at every step given the past, so by
//! Ville's inequality (1939) it ever reaches 1/alpha with probability at most alpha. Beta(1/2, 1/2)
//! is Jeffreys' prior; that the mixture is a confidence sequence goes back to H. Robbins (Ann.
//! Math. Stat. 41, 1970); see also S. Howard et al. (Ann. Stat. 49, 2021).

use std::f64::consts::{LN_2, PI};

use super::UNIT_ROUNDOFF;
use super::binomial_tail::{deviance, ln_from_below, stirling_error};
use crate::domain::{Alpha, Probability};

/// A lower confidence bound for a class's probability that holds for all `n` together: if `count`
/// of the first `n` draws gave the class, for n = 1, 2, ..., its probability is at least every one
/// of these bounds with probability at least 1 - alpha. So draws may end whenever one likes, for
/// any reason seen in them.
///
/// It is the p below count/n at which M, of likelihood p^count (1-p)^(n-count), is 1/alpha. The
/// result is never above the exact one and less than 1e-12 below, for n up to 10^9.
///
/// # Panics
/// When `count` is above `n`, or `n` is 2^52 or more.
#[must_use]
pub fn sequence_bound(count: u64, n: u64, alpha: Alpha) -> Probability {
    assert!(
        count <= n && n < 1 << 52,
        "{count} of {n} draws is not a count"
    );
    if count == 0 {
        return probability(0.0);
    }
    let mut p = climb(count, n, alpha);
    let mut step = f64::EPSILON;
    while p > 0.0 && !refutes(count, n, p, alpha) {
        p *= 1.0 - step;
        step = (2.0 * step).min(0.5);
    }
    probability(p)
}

/// Whether M at `p` is 1/alpha or more even if every rounding went the wrong way. M falls as p
/// grows to count/n, so the draws then refute every smaller p as well.
fn refutes(count: u64, n: u64, p: f64, alpha: Alpha) -> bool {
    let mixture = Mixture::at(count, n, p);
    count as f64 > n as f64 * p && mixture.ln - mixture.error >= -ln_from_below(alpha)
}

/// ln M at a p, as [`Mixture::at`] found it, and how far it may be from the truth.
#[derive(Debug, Clone, Copy)]
struct Mixture {
    ln: f64,
    error: f64,
}

impl Mixture {
    /// For 1 <= k <= n < 2^52 and 0 < p < 1. `error` adds up the same bounds as that of the
    /// binomial tail.
    fn at(k: u64, n: u64, p: f64) -> Self {
        let (count, rest, trials) = (k as f64, (n - k) as f64, n as f64);
        let excess = mixture_at_mean(k, n);
        let (divergence, distance) = if k == n {
            (-trials * p.ln(), 0.0)
        } else {
            (
                deviance(count, trials * p) + deviance(rest, trials * (1.0 - p)),
                (count - trials * p).abs(),
            )
        };
        let error = UNIT_ROUNDOFF * 128.0 * (divergence + excess.abs() + distance + 4.0);
        Self {
            ln: excess + divergence,
            error,
        }
    }
}

/// ln M at p = k/n, below 0, for 1 <= k <= n: B(k + 1/2, n - k + 1/2) / pi over the largest
/// likelihood.
///
/// By Stirling's formula with its error d, Gamma(k + 1/2) = sqrt(2 pi) (k/e)^k exp(d(2k) - d(k));
/// all powers cancel.
fn mixture_at_mean(k: u64, n: u64) -> f64 {
    let half = |k: u64| {
        if k == 0 {
            0.0
        } else {
            LN_2 / 2.0 + stirling_error(2 * k) - stirling_error(k)
        }
    };
    half(k) + half(n - k) - stirling_error(n) - 0.5 * (2.0 * PI * n as f64).ln()
}

/// Newton's method for M = 1/alpha in p. ln M is convex and falls, so that from a p below the
/// solution every step ends below it again, but for rounding. Such a p follows from Pinsker's
/// inequality, KL >= 2 (k/n - p)^2, and from leaving out one of the two terms of KL.
fn climb(count: u64, n: u64, alpha: Alpha) -> f64 {
    let (k, rest, trials) = (count as f64, (n - count) as f64, n as f64);
    let mean = k / trials;
    let needed = -ln_from_below(alpha) - mixture_at_mean(count, n);
    let unseen = if rest > 0.0 {
        -rest * (rest / trials).ln()
    } else {
        0.0
    };
    let start =
        (mean - (needed / (2.0 * trials)).sqrt()).max(mean * (-(needed + unseen) / k).exp());
    let mut p = start.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON);
    for _ in 0..100 {
        let mixture = Mixture::at(count, n, p);
        let short = -ln_from_below(alpha) - mixture.ln + mixture.error;
        let slope = (trials * p - k) / (p * (1.0 - p));
        let next = (p + short / slope).clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON);
        if (next - p).abs() <= f64::EPSILON * p || next >= mean {
            return p;
        }
        p = next;
    }
    p
}

/// Whether `needed` of `n` draws are out of reach after `drawn` of them of which `count` count:
/// certainly where even the rest could not make up, and else where that they will is refuted at
/// level `beta`.
///
/// Whatever the probability is, if `needed` or more of the `n` draws count in the end, this is ever
/// true before with probability at most `beta`: given how many will count, the order of draws is
/// that of drawing without replacement, and M with that likelihood is a martingale as well (I.
/// Waudby-Smith & A. Ramdas, "Confidence sequences for sampling without replacement", 2020, section
/// 2). For totals above count * n / drawn, M grows with the total, so refuting `needed` refutes all
/// above. Giving up claims nothing, so nothing is rounded in a direction here.
#[must_use]
pub fn out_of_reach(count: u64, drawn: u64, needed: u64, n: u64, beta: Alpha) -> bool {
    if needed > count + (n - drawn) {
        return true;
    }
    // Compared as whole numbers; also what makes sure that `needed` is above `count`, unless
    // nothing is left to draw.
    if drawn == 0 || u128::from(needed) * u128::from(drawn) <= u128::from(count) * u128::from(n) {
        return false;
    }
    let ln_mixture =
        ln_factorial_half(count) + ln_factorial_half(drawn - count) - ln_factorial(drawn);
    ln_mixture - ln_choose(n - drawn, needed - count) + ln_choose(n, needed) >= -beta.get().ln()
}

/// ln(Gamma(k + 1/2) / sqrt(pi)).
fn ln_factorial_half(k: u64) -> f64 {
    if k == 0 {
        return 0.0;
    }
    let x = k as f64;
    x * x.ln() - x + LN_2 / 2.0 + stirling_error(2 * k) - stirling_error(k)
}

fn ln_choose(n: u64, k: u64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

fn ln_factorial(n: u64) -> f64 {
    if n == 0 {
        return 0.0;
    }
    let x = n as f64;
    x * x.ln() - x + 0.5 * (2.0 * PI * x).ln() + stirling_error(n)
}

fn probability(p: f64) -> Probability {
    Probability::new(p).expect("the search stays between 0 and 1")
}

#[cfg(test)]
mod tests;
