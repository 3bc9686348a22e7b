//! The standard normal quantile, rounded down.

use std::f64::consts::{PI, SQRT_2};

use statrs::function::erf::erfc_inv;

use super::UNIT_ROUNDOFF;
use crate::domain::Probability;

/// A z with Phi(z) <= p for p above 1/2, and 0 for every other p. Above 1/2 it never exceeds the
/// true quantile, and its relative distance below it is less than 1e-13.
///
/// p = 1, whose quantile is infinite, is replaced by the double before it.
#[must_use]
pub fn quantile_lower(p: Probability) -> f64 {
    let p = p.get().min(1.0_f64.next_down());
    if p <= 0.5 {
        return 0.0;
    }
    let mut z = estimate(p);
    let mut step = f64::EPSILON;
    while !is_below(z, p) {
        z *= 1.0 - step;
        step *= 2.0;
    }
    z
}

/// A z with Phi(z) <= p, for every p. Above 1/2 it is [`quantile_lower`]; below, it is negative and
/// its relative distance from the true quantile is less than 1e-13. That of 0 is -infinity.
#[must_use]
pub fn signed_quantile_lower(p: Probability) -> f64 {
    let p = p.get();
    if p >= 0.5 {
        return quantile_lower(Probability::new(p).unwrap_or(Probability::ZERO));
    }
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let mut z = SQRT_2 * erfc_inv(2.0 * p);
    let mut step = f64::EPSILON;
    while !is_tail_below(z, p) {
        z *= 1.0 + step;
        step *= 2.0;
    }
    -z
}

/// Returns true if Phi(-z) <= p even if every rounding went the wrong way, for z > 0 and p < 1/2.
fn is_tail_below(z: f64, p: f64) -> bool {
    if z < TAIL {
        // 1/2 - p is rounded once.
        centre(z) * (1.0 - 64.0 * UNIT_ROUNDOFF) >= (0.5 - p) * (1.0 + 2.0 * UNIT_ROUNDOFF)
    } else {
        tail(z) * (1.0 + (64.0 + 4.0 * z * z) * UNIT_ROUNDOFF) <= p
    }
}

/// The quantile of p above 1/2, with an error in either direction.
fn estimate(p: f64) -> f64 {
    // 1 - p is exact in this range.
    SQRT_2 * erfc_inv(2.0 * (1.0 - p))
}

/// The z from which [`is_below`] uses the tail instead of the centre.
const TAIL: f64 = 2.0;

/// Returns true if Phi(z) <= p even if every rounding went the wrong way, for z > 0 and 1/2 < p <
/// 1, where both p - 1/2 and 1 - p are exact.
fn is_below(z: f64, p: f64) -> bool {
    if z < TAIL {
        centre(z) * (1.0 + 64.0 * UNIT_ROUNDOFF) <= p - 0.5
    } else {
        tail(z) * (1.0 - (64.0 + 4.0 * z * z) * UNIT_ROUNDOFF) >= 1.0 - p
    }
}

/// Phi(z) - 1/2 = phi(z) (z + z^3/3 + z^5/(3 5) + z^7/(3 5 7) + ...) (Abramowitz & Stegun 26.2.11).
/// All terms are positive; the relative error is less than 64 roundings up to [`TAIL`].
fn centre(z: f64) -> f64 {
    let mut sum = 0.0;
    let mut term = z;
    for odd in (3..).step_by(2) {
        sum += term;
        term *= z * z / f64::from(odd);
        if term <= sum * UNIT_ROUNDOFF / 4.0 {
            break;
        }
    }
    density(z) * sum
}

/// 1 - Phi(z) = phi(z) / (z + 1/(z + 2/(z + 3/(z + ...)))), 128 levels deep (Abramowitz & Stegun
/// 26.2.14). This is enough for full precision from [`TAIL`] on. It is evaluated from the inside,
/// so that every step damps the errors before it.
fn tail(z: f64) -> f64 {
    density(z)
        / (1..=128)
            .rev()
            .fold(z, |inner, level| z + f64::from(level) / inner)
}

fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

#[cfg(test)]
#[allow(clippy::unreadable_literal)]
mod tests {
    use proptest::prelude::*;

    use super::super::decimal;
    use super::*;

    fn quantile(p: f64) -> f64 {
        quantile_lower(Probability::new(p).expect("a probability"))
    }

    fn check(p: f64, truth: &str) {
        let found = quantile(p);
        assert!(
            decimal::compare(found, truth).is_le(),
            "q({p}) = {found:e} is above {truth}"
        );
        assert!(
            decimal::compare(found * (1.0 + 1e-13), truth).is_ge(),
            "q({p}) = {found:e} is far below {truth}"
        );
    }

    /// Exact doubles and their quantiles, from 50-digit arithmetic.
    #[test]
    fn quantiles_are_met_from_below() {
        for (p, truth) in [
            (
                0.5000000000000001,
                "0.00000000000000027829164246717669222339234078712",
            ),
            (
                0.5000000000009095,
                "0.0000000000022797651350911114626940320305097",
            ),
            (0.500001, "0.000002506628274705705199139089739918"),
            (0.51, "0.025068908258711058032691625539397"),
            (0.6, "0.25334710313579974132468869177175"),
            (0.7, "0.5244005127080406563136291760698"),
            (0.75, "0.67448975019608174320222701454131"),
            (0.841344746, "0.99999999971673031095173897356724"),
            (0.9, "1.2815515655446005934874482885168"),
            (0.925, "1.4395314709384562290633201572494"),
            (0.95, "1.6448536269514722842763156035389"),
            (0.975, "1.9599639845400538556044306498266"),
            (0.9772498, "1.9999987395718308633724307269687"),
            (0.97725, "2.0000024438996030105347024613147"),
            (0.9931, "2.4624276813831965642372569908754"),
            (0.999, "3.0902323061678132777582023325602"),
            (0.99993, "3.8081682644489683637487747487744"),
            (0.999999, "4.7534243088170877656880970306816"),
            (0.999999999, "5.9978070196016374264230782599773"),
            (0.999999999999, "7.0344869100478352056924005685548"),
            (0.9999999999999999, "8.209536151601386855630768778666"),
        ] {
            check(p, truth);
        }
    }

    #[test]
    fn the_quantile_of_a_golden_bound_is_not_exceeded() {
        for row in decimal::golden_bounds() {
            let Some(truth) = row.quantile else { continue };
            let mut p: f64 = row.p_lower.parse().expect("a number");
            if decimal::compare(p, &row.p_lower).is_gt() {
                p = p.next_down();
            }
            if p <= 0.5 {
                continue;
            }
            let found = quantile(p);
            assert!(
                decimal::compare(found, &truth).is_le(),
                "q({p}) = {found:e} is above {truth}"
            );
            // The golden quantile is that of the decimal, which lies up to one double above p.
            let decimals_lost = 2.0 * f64::EPSILON / density(found);
            let near = found * (1.0 + 1e-13) + decimals_lost;
            assert!(
                decimal::compare(near, &truth).is_ge(),
                "q({p}) = {found:e} is far below {truth}"
            );
        }
    }

    #[test]
    fn half_and_less_have_no_positive_quantile_and_one_has_a_finite_one() {
        for p in [0.0, 0.3, 0.5_f64.next_down(), 0.5] {
            assert_eq!(quantile(p), 0.0, "{p}");
        }
        assert!(quantile(0.5_f64.next_up()) > 0.0);
        assert_eq!(quantile(1.0), quantile(1.0_f64.next_down()));
    }

    #[test]
    fn centre_and_tail_meet() {
        for z in [TAIL, 2.5, 3.0] {
            assert!((centre(z) + tail(z) - 0.5).abs() < 1e-15, "{z}");
        }
    }

    proptest! {
        #[test]
        fn the_quantile_inverts_the_distribution(exponent in 0.0..52.0_f64) {
            let p = 1.0 - 0.5 * (-exponent).exp2();
            let z = quantile(p);
            prop_assert!(p <= 0.5 || is_below(z, p));
            prop_assert!(p <= 0.5 || !is_below(z * (1.0 + 1e-13), p));
        }

        #[test]
        fn the_quantile_does_not_fall(p in 0.5..1.0_f64, q in 0.5..1.0_f64) {
            prop_assert!(quantile(p.min(q)) <= quantile(p.max(q)));
        }
    }
}
