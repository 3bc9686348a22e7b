//! The lower bound on a class's probability, from the number of draws that gave it.

use super::binomial_tail::{BinomialTail, ln_from_below};
use super::bisect::first;
use crate::domain::{Alpha, Probability};

/// The one-sided Clopper-Pearson lower confidence bound: a p with P(Bin(n, p) >= count) <= alpha.
///
/// A class of probability pi, drawn `count` times in `n`, satisfies pi >= p with probability at
/// least 1 - alpha (C. Clopper & E. Pearson, Biometrika 26, 1934; `LowerConfBound` of Cohen et al.
/// 2019). The result is never above the exact bound, at which the tail equals alpha; for alpha up
/// to 1/2 and n up to 10^9 it is less than 1e-12 below. It costs O(sqrt(n)). It ends for every
/// alpha: at most 100 Newton steps, then at most 1,200 that move the result down.
///
/// # Panics
/// When `count` is above `n`, or `n` is 2^53 or more.
#[must_use]
pub fn lower_bound(count: u64, n: u64, alpha: Alpha) -> Probability {
    assert!(
        count <= n && n < 1 << 53,
        "{count} of {n} draws is not a count"
    );
    if count == 0 {
        return probability(0.0);
    }
    let mut p = climb(count, n, alpha);
    let mut step = f64::EPSILON;
    while p > 0.0 && !holds(count, n, p, alpha) {
        p *= 1.0 - step;
        step = (2.0 * step).min(0.5);
    }
    probability(p)
}

/// The one-sided Clopper-Pearson upper confidence bound: the probability of a class that was drawn
/// `count` times in `n` is at most this, with probability at least 1 - alpha. It is the complement
/// of the [`lower_bound`] of all other draws, rounded up.
///
/// # Panics
/// As [`lower_bound`].
#[must_use]
pub fn upper_bound(count: u64, n: u64, alpha: Alpha) -> Probability {
    complement_above(lower_bound(n - count, n, alpha))
}

/// 1 - p, rounded down.
#[must_use]
pub fn complement_below(p: Probability) -> Probability {
    let complement = 1.0 - p.get();
    // From 1/2 on, the difference is exact.
    if p.get() >= 0.5 || p.get() == 0.0 {
        return probability(complement);
    }
    probability(complement.next_down())
}

/// 1 - p, rounded up.
#[must_use]
pub fn complement_above(p: Probability) -> Probability {
    let complement = 1.0 - p.get();
    // From 1/2 on, the difference is exact.
    if p.get() >= 0.5 || p.get() == 0.0 {
        return probability(complement);
    }
    probability(complement.next_up().min(1.0))
}

/// The least count with P(Bin(n, p) >= count) <= alpha, whose [`lower_bound`] reaches `p`; `None`
/// if even n draws that all agree do not. Rounding may make it one too many or too few.
#[must_use]
pub fn least_count(n: u64, p: Probability, alpha: Alpha) -> Option<u64> {
    let p = p.get();
    let enough =
        |count: u64| p <= 0.0 || p < 1.0 && BinomialTail::at(count, n, p).ln <= alpha.get().ln();
    (n > 0 && enough(n)).then(|| first(n, enough))
}

/// Returns true if `n` draws that all agree bound the class's probability above 1/2: no count can
/// certify otherwise.
///
/// The exact bound is then alpha^(1/n). Its comparison with 1/2 is made as alpha > 2^-n, which
/// floating point decides without rounding.
#[must_use]
pub fn can_certify(n: u64, alpha: Alpha) -> bool {
    // 2^-1100 is 0 in a double, below every alpha.
    0.5_f64.powi(n.min(1100) as i32) < alpha.get()
}

/// The smallest number of draws that [`can_certify`].
#[must_use]
pub fn least_draws(alpha: Alpha) -> u64 {
    let mut n = 1;
    while !can_certify(n, alpha) {
        n += 1;
    }
    n
}

/// Returns true if P(Bin(n, p) >= count) <= alpha even if every rounding went the wrong way.
fn holds(count: u64, n: u64, p: f64, alpha: Alpha) -> bool {
    let tail = BinomialTail::at(count, n, p);
    tail.ln + tail.error <= ln_from_below(alpha)
}

/// Solves ln P(Bin(n, p) >= count) + error = ln alpha by Newton's method in ln p. The left side is
/// concave with slope count / ratio, so every step ends below the solution, apart from rounding,
/// wherever it started.
fn climb(count: u64, n: u64, alpha: Alpha) -> f64 {
    let target = ln_from_below(alpha);
    let mut p = open_unit(count as f64 / n as f64);
    for _ in 0..100 {
        let tail = BinomialTail::at(count, n, p);
        let step = tail.newton_step(target, count);
        p = open_unit(p * step.exp());
        if step.abs() <= f64::EPSILON {
            break;
        }
    }
    p
}

/// The nearest normal double strictly between 0 and 1. Below the normal doubles, 1/p would not be
/// finite.
fn open_unit(p: f64) -> f64 {
    p.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON)
}

impl BinomialTail {
    /// The step in ln p toward a tail whose upper estimate is `target`.
    fn newton_step(self, target: f64, count: u64) -> f64 {
        (target - self.ln - self.error) * self.ratio / count as f64
    }
}

fn probability(p: f64) -> Probability {
    Probability::new(p).expect("the search stays between 0 and 1")
}

#[cfg(test)]
#[allow(clippy::unreadable_literal)]
mod tests {
    use proptest::prelude::*;
    use statrs::function::beta::beta_reg;

    use super::super::binomial_tail::effort;
    use super::super::decimal;
    use super::*;

    fn bound(count: u64, n: u64, alpha: f64) -> f64 {
        lower_bound(count, n, Alpha::new(alpha).expect("a good alpha")).get()
    }

    /// Checks that a bound is not above the truth and less than 1e-12 below.
    fn check(count: u64, n: u64, alpha: Alpha, truth: &str) {
        let found = lower_bound(count, n, alpha).get();
        let name = format!("{count} of {n} at {alpha}");
        assert!(
            decimal::compare(found, truth).is_le(),
            "{name}: {found:e} is above {truth}"
        );
        assert!(
            decimal::compare(found + 1e-12, truth).is_ge() || count == 0,
            "{name}: {found:e} is far below {truth}"
        );
    }

    #[test]
    fn no_golden_bound_is_exceeded_or_missed_by_1e_12() {
        for row in decimal::golden_bounds() {
            check(row.k, row.n, row.alpha(), &row.p_lower);
        }
    }

    /// k, n, alpha and the exact bound, from 50-digit arithmetic.
    #[test]
    fn bounds_outside_the_golden_file_are_met_as_well() {
        for (k, n, alpha, truth) in [
            (1, 2, 0.001, "0.00050012506253908986427393888421033"),
            (2, 3, 0.1, "0.19580010565909171749035368352408"),
            (7, 30, 0.0000000001, "0.0047436382848417505992751659900173"),
            (15, 17, 0.999, "0.98814619276806184776111420011606"),
            (300, 500, 0.4, "0.59337550318496444618808921557156"),
            (512, 1_024, 0.99, "0.53580594645296810448349226937153"),
            (9_321, 12_345, 0.002, "0.74374180688547394655237963792166"),
            (
                100_003,
                200_000,
                0.001,
                "0.49655756039098331579694805404287",
            ),
            (
                99_500,
                100_000,
                0.000000000001,
                "0.99325623966788128909586457486173",
            ),
            // Here the incomplete beta function of statrs is off by 1e-7.
            (
                125_158,
                159_695,
                0.49530879400971245,
                "0.7837156498542893089998110833566761903018",
            ),
            (
                3,
                1_000_000,
                0.001,
                "0.000000190533549950518695126758223662",
            ),
            (
                700_000_000,
                1_000_000_000,
                0.001,
                "0.69995521643956582599678014111994",
            ),
        ] {
            check(k, n, Alpha::new(alpha).expect("a good alpha"), truth);
        }
    }

    #[test]
    fn no_draw_bounds_nothing() {
        assert_eq!(bound(0, 0, 0.001), 0.0);
        assert_eq!(bound(0, 100, 0.001), 0.0);
    }

    #[test]
    fn the_search_ends_for_every_alpha_and_count() {
        let alphas = [1e-100, 1e-99, 1e-50, 1e-20, 0.001, 0.5, 0.999, 0.9999];
        // Refused in specifications, but the search ends there as well.
        let refused = [
            5e-324, 1e-307, 1e-290, 1e-285, 1e-190, 1e-184, 1e-178, 1e-150,
        ];
        for n in [1, 2, 3, 10, 700, 10_000, 1_000_000, 1_000_000_000_u64] {
            let counts = [0, 1, 2, 3, n / 3, n / 2, n - n / 100, n - 1, n];
            for count in counts.into_iter().filter(|&count| count <= n) {
                for alpha in alphas.into_iter().chain(refused) {
                    let terms = effort::of(|| bound(count, n, alpha));
                    let allowed = 1_000.0 * (n as f64).sqrt().max(40.0);
                    assert!(terms <= allowed, "{count} of {n} at {alpha}: {terms} terms");
                }
            }
        }
    }

    #[test]
    fn an_upper_bound_is_the_complement_of_the_lower_one() {
        let alpha = Alpha::new(0.001).expect("a good alpha");
        // 1 - 0.001^(1/100), and the complement of a golden bound, from 50-digit arithmetic.
        assert!((upper_bound(0, 100, alpha).get() - 0.066_745_699_603).abs() < 1e-9);
        assert_eq!(upper_bound(100, 100, alpha).get(), 1.0);
        for p in [0.0, 1e-300, 1e-17, 0.1, 0.3, 0.5, 0.7, 1.0] {
            let complement = complement_above(Probability::new(p).expect("a probability"));
            assert!(complement.get() - 0.5 >= 0.5 - p, "{p}");
            let complement = complement_below(Probability::new(p).expect("a probability"));
            assert!(complement.get() - 0.5 <= 0.5 - p, "{p}");
        }
    }

    #[test]
    fn too_few_draws_can_never_certify() {
        let alpha = Alpha::new(0.001).expect("a good alpha");
        assert!(!can_certify(9, alpha) && can_certify(10, alpha));
        // alpha^(1/n) is exactly one half, which is not enough.
        assert!(!can_certify(3, Alpha::new(0.125).expect("a good alpha")));
    }

    #[test]
    fn the_least_number_of_draws_is_the_first_whose_power_is_above_one_half() {
        for (alpha, least) in [
            (0.001, 10),
            (0.05, 5),
            (0.5, 2),
            (0.51, 1),
            (0.25, 3),
            (0.999, 1),
            (5e-324, 1075),
        ] {
            let alpha = Alpha::new(alpha).expect("a good alpha");
            assert_eq!(least_draws(alpha), least, "{alpha}");
        }
    }

    /// P(Bin(n, p) >= k) by summing exact binomial coefficients, for n up to 40.
    fn counted_tail(k: u64, n: u64, p: f64) -> f64 {
        let mut coefficient = 1_u128;
        let mut sum = 0.0;
        for j in 0..=n {
            if j >= k {
                sum += coefficient as f64 * p.powi(j as i32) * (1.0 - p).powi((n - j) as i32);
            }
            coefficient = coefficient * u128::from(n - j) / u128::from(j + 1);
        }
        sum
    }

    proptest! {
        #[test]
        fn the_tail_at_a_small_bound_is_alpha(
            n in 1_u64..=40, part in 0.0..1.0_f64, exponent in -12.0..-0.001_f64,
        ) {
            let k = 1 + ((n - 1) as f64 * part) as u64;
            let alpha = 10.0_f64.powf(exponent);
            let tail = counted_tail(k, n, bound(k, n, alpha)) / alpha;
            let allowed = 1.0 - 1e-10..=1.0 + 1e-14 * n as f64;
            prop_assert!(allowed.contains(&tail), "{k} of {n}: {tail}");
        }

        #[test]
        fn the_tail_at_a_large_bound_is_alpha(
            n in 1_u64..=200_000, part in 0.0..1.0_f64, exponent in -8.0..-0.3_f64,
        ) {
            let k = 1 + ((n - 1) as f64 * part) as u64;
            let alpha = 10.0_f64.powf(exponent);
            // The library's incomplete beta function is the less exact of the two: off by 1e-7
            // where this was seen.
            let tail = beta_reg(k as f64, (n - k) as f64 + 1.0, bound(k, n, alpha)) / alpha;
            prop_assert!((tail - 1.0).abs() < 1e-6, "{k} of {n}: {tail}");
        }

        #[test]
        fn more_of_the_same_class_or_more_risk_bound_higher(
            n in 2_u64..=200_000, part in 0.0..1.0_f64, exponent in -8.0..-0.05_f64,
        ) {
            let k = ((n - 1) as f64 * part) as u64;
            let alpha = 10.0_f64.powf(exponent);
            prop_assert!(bound(k, n, alpha) < bound(k + 1, n, alpha));
            prop_assert!(bound(k + 1, n, alpha) < bound(k + 1, n, alpha * 1.1));
            prop_assert!(bound(k + 1, n, alpha) < (k + 1) as f64 / n as f64 || alpha > 0.3);
        }
    }
}
