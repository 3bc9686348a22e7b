//! Bounds that hold at every number of draws at once, so that draws may end at any time, for any
//! reason seen in the counts.
//!
//! Both rest on one martingale. Let M be the probability of the draws so far, in their order, if
//! the class's probability had been drawn from Beta(1/2, 1/2), divided by their probability under
//! the hypothesis to refute. If the hypothesis is true, M has mean 1 at every step given the past,
//! so by Ville's inequality (1939) it ever reaches 1/alpha with probability at most alpha.
//! Beta(1/2, 1/2) is Jeffreys' prior. H. Robbins (Ann. Math. Stat. 41, 1970) introduced the mixture
//! as a confidence sequence; see also S. Howard et al. (Ann. Stat. 49, 2021).

use std::f64::consts::{LN_2, PI};

use super::UNIT_ROUNDOFF;
use super::binomial_tail::{deviance, ln_from_below, stirling_error};
use crate::domain::{Alpha, Probability};

/// A lower confidence bound for a class's probability that holds for all `n` together: if `count`
/// of the first `n` draws gave the class, for n = 1, 2, ..., its probability is at least every one
/// of these bounds with probability at least 1 - alpha. Draws may therefore end at any time, for
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

/// Returns true if M at `p` is 1/alpha or more even if every rounding went the wrong way. M falls
/// as p grows to count/n, so the draws then refute every smaller p as well.
fn refutes(count: u64, n: u64, p: f64, alpha: Alpha) -> bool {
    let mixture = Mixture::at(count, n, p);
    count as f64 > n as f64 * p && mixture.ln - mixture.error >= -ln_from_below(alpha)
}

/// ln M at a probability p, and a bound on its error.
#[derive(Debug, Clone, Copy)]
struct Mixture {
    ln: f64,
    error: f64,
}

impl Mixture {
    /// Evaluates ln M for 1 <= k <= n < 2^52 and 0 < p < 1. `error` adds up the same bounds as that
    /// of the binomial tail.
    fn at(k: u64, n: u64, p: f64) -> Self {
        let excess = mixture_at_mean(k, n);
        let divergence = divergence(k, n, p);
        let parts = divergence + excess.abs() + distance(k, n, p) + 4.0;
        Self {
            ln: excess + divergence,
            error: UNIT_ROUNDOFF * 128.0 * parts,
        }
    }
}

/// The distance |k - np|, on which the rounding of a deviance depends; 0 where all draws agree, as
/// there is no deviance then.
fn distance(k: u64, n: u64, p: f64) -> f64 {
    if k == n {
        0.0
    } else {
        (k as f64 - n as f64 * p).abs()
    }
}

/// ln of the likelihood at k/n over the likelihood at p: n times the Kullback-Leibler divergence.
fn divergence(k: u64, n: u64, p: f64) -> f64 {
    let trials = n as f64;
    if k == n {
        -trials * p.ln()
    } else {
        deviance(k as f64, trials * p) + deviance((n - k) as f64, trials * (1.0 - p))
    }
}

/// ln M at p = k/n, which is below 0, for 1 <= k <= n: B(k + 1/2, n - k + 1/2) / pi over the
/// largest likelihood.
///
/// By Stirling's formula with its error d, Gamma(k + 1/2) = sqrt(2 pi) (k/e)^k exp(d(2k) - d(k));
/// all powers cancel.
fn mixture_at_mean(k: u64, n: u64) -> f64 {
    half_gamma(k) + half_gamma(n - k) - stirling_error(n) - 0.5 * (2.0 * PI * n as f64).ln()
}

/// ln(Gamma(k + 1/2) / (sqrt(pi) (k/e)^k)); 0 for k = 0.
fn half_gamma(k: u64) -> f64 {
    if k == 0 {
        0.0
    } else {
        LN_2 / 2.0 + stirling_error(2 * k) - stirling_error(k)
    }
}

/// Solves M = 1/alpha by Newton's method in p. ln M is convex and falls, so from a p below the
/// solution every step ends below it again, apart from rounding.
fn climb(count: u64, n: u64, alpha: Alpha) -> f64 {
    let mean = count as f64 / n as f64;
    let mut p = start(count, n, alpha);
    for _ in 0..100 {
        let next = newton_step(count, n, p, alpha);
        if (next - p).abs() <= f64::EPSILON * p || next >= mean {
            return p;
        }
        p = next;
    }
    p
}

fn newton_step(count: u64, n: u64, p: f64, alpha: Alpha) -> f64 {
    let mixture = Mixture::at(count, n, p);
    let short = -ln_from_below(alpha) - mixture.ln + mixture.error;
    let slope = (n as f64 * p - count as f64) / (p * (1.0 - p));
    open_unit(p + short / slope)
}

/// A p below the solution of M = 1/alpha, at which Newton's method starts: the larger of the one
/// that follows from Pinsker's inequality, KL >= 2 (k/n - p)^2, and the one that follows from
/// leaving out one of the two terms of KL.
fn start(count: u64, n: u64, alpha: Alpha) -> f64 {
    let k = count as f64;
    let trials = n as f64;
    let mean = k / trials;
    let needed = -ln_from_below(alpha) - mixture_at_mean(count, n);
    let unseen = omitted_term((n - count) as f64, trials);
    let by_pinsker = mean - (needed / (2.0 * trials)).sqrt();
    let by_one_term = mean * (-(needed + unseen) / k).exp();
    open_unit(by_pinsker.max(by_one_term))
}

/// The term of KL for the draws of other classes, at the largest.
fn omitted_term(rest: f64, trials: f64) -> f64 {
    if rest > 0.0 {
        -rest * (rest / trials).ln()
    } else {
        0.0
    }
}

/// The nearest double strictly between 0 and 1.
fn open_unit(p: f64) -> f64 {
    p.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON)
}

/// Returns true if the final count can no longer be expected to reach `needed`: of the first
/// `drawn` draws, `count` gave the class, and `needed` of all `n` must. Either too few draws
/// remain, or the hypothesis that the final count reaches `needed` is refuted at level `beta`.
///
/// Whatever the class's probability is, if the final count does reach `needed`, the result is true
/// at some earlier draw with probability at most `beta`. Given the final count, the draws are in
/// the order of drawing without replacement, and M with that likelihood is a martingale as well
/// (I. Waudby-Smith & A. Ramdas, "Confidence sequences for sampling without replacement", 2020,
/// section 2). For totals above count * n / drawn, M grows with the total, so refuting `needed`
/// refutes all larger totals. Giving up claims nothing, so nothing is rounded in a direction here.
#[must_use]
pub fn out_of_reach(count: u64, drawn: u64, needed: u64, n: u64, beta: Alpha) -> bool {
    if needed > count + (n - drawn) {
        return true;
    }
    // Compared as whole numbers. This also makes sure that `needed` is above `count`, unless
    // nothing is left to draw.
    if drawn == 0 || u128::from(needed) * u128::from(drawn) <= u128::from(count) * u128::from(n) {
        return false;
    }
    let ln_ratio =
        ln_mixture(count, drawn) - ln_choose(n - drawn, needed - count) + ln_choose(n, needed);
    ln_ratio >= -beta.get().ln()
}

fn ln_mixture(count: u64, drawn: u64) -> f64 {
    ln_factorial_half(count) + ln_factorial_half(drawn - count) - ln_factorial(drawn)
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
