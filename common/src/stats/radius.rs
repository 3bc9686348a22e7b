//! The certified radius of a probability, and the inverse.

use std::f64::consts::SQRT_2;

use statrs::function::erf::erfc;

use super::{quantile_lower, signed_quantile_lower};
use crate::domain::{Probability, Radius, Sigma};

/// The radius sigma q(p_lower), where q is the standard normal quantile, rounded toward zero. A
/// smoothed classifier whose top class has at least probability `p_lower` under N(0, sigma^2 I)
/// predicts that class everywhere within this L2 distance (Cohen et al. 2019, Theorem 1 with
/// p_B = 1 - p_A).
///
/// The radius is zero if `p_lower` is at most 1/2.
#[must_use]
pub fn radius(sigma: Sigma, p_lower: Probability) -> Radius {
    let quantile = quantile_lower(p_lower);
    if quantile <= 0.0 {
        return Radius::ZERO;
    }
    let rounded_down = (sigma.get() * quantile).min(f64::MAX).next_down().max(0.0);
    Radius::new(rounded_down).expect("a finite number, 0 or more, by the line above")
}

/// The distance sigma/2 (Q(p) + Q(q)), where Q is the standard normal quantile, rounded toward
/// zero; zero if it is not positive.
///
/// Let A and B be sets of answers whose probabilities under N(0, sigma^2 I) are at least p, and at
/// most 1 - q. Q of each is 1/sigma-Lipschitz in the input (Salman et al. 2019, Lemma 2). So A
/// stays more probable than B within this distance (Cohen et al. 2019, Theorem 1 with p_A = p and
/// p_B = 1 - q).
#[must_use]
pub fn mean_radius(sigma: Sigma, p: Probability, q: Probability) -> Radius {
    let sum = (signed_quantile_lower(p) + signed_quantile_lower(q)).next_down();
    let half = (0.5 * sigma.get()).next_down();
    let rounded_down = (half * sum).min(f64::MAX).next_down().max(0.0);
    Radius::new(rounded_down).unwrap_or(Radius::ZERO)
}

/// The probability Phi(radius / sigma), whose [`radius`] this is. It is rounded in no particular
/// direction, so it may decide which draws to make, never what a certificate claims.
#[must_use]
pub fn probability_at(sigma: Sigma, radius: Radius) -> Probability {
    // A finite number, 0 or more, divided by a number above 0 is not NaN; it may be infinite.
    let p = 0.5 * erfc(-radius.get() / sigma.get() / SQRT_2);
    Probability::new(p.clamp(0.5, 1.0)).expect("clamped to 1/2 to 1")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{decimal, lower_bound};
    use super::*;

    fn of(sigma: f64, p: f64) -> f64 {
        radius(
            Sigma::new(sigma).expect("a sigma"),
            Probability::new(p).expect("a probability"),
        )
        .get()
    }

    #[test]
    fn no_golden_radius_is_exceeded() {
        for row in decimal::golden_bounds() {
            let Some(truth) = &row.quantile else { continue };
            let found = of(1.0, lower_bound(row.k, row.n, row.alpha()).get());
            let exact: f64 = truth.parse().expect("a number");
            assert!(
                exact < 0.0 || decimal::compare(found, truth).is_le(),
                "{row:?}: {found:e} is too large"
            );
            assert!((found - exact.max(0.0)).abs() < 1e-10, "{row:?}: {found:e}");
        }
    }

    #[test]
    fn no_majority_has_no_radius_and_the_ends_stay_finite() {
        assert_eq!(of(1.0, 0.5), 0.0);
        assert_eq!(of(1.0, 0.0), 0.0);
        assert!(of(1.0, 1.0) > 8.0 && of(f64::MAX, 1.0).is_finite());
        assert!(of(f64::MIN_POSITIVE, 0.5_f64.next_up()) >= 0.0);
    }

    proptest! {
        #[test]
        fn a_probability_and_its_radius_are_inverse(p in 0.5..0.9999_f64, s in 0.01..4.0_f64) {
            let radius = Radius::new(of(s, p)).expect("a radius");
            let back = probability_at(Sigma::new(s).expect("a sigma"), radius).get();
            prop_assert!((back - p).abs() < 1e-9, "{p} {back}");
        }

        #[test]
        fn the_radius_does_not_fall_with_either(
            p in 0.5..1.0_f64, q in 0.5..1.0_f64, s in 0.01..4.0_f64, t in 0.01..4.0_f64,
        ) {
            let (low, high) = ((s.min(t), p.min(q)), (s.max(t), p.max(q)));
            prop_assert!(of(low.0, low.1) <= of(high.0, low.1));
            prop_assert!(of(low.0, low.1) <= of(low.0, high.1));
            // The same product without rounding down.
            let quantile = quantile_lower(Probability::new(p).expect("a probability"));
            prop_assert!(of(s, p) <= s * quantile);
        }
    }
}
