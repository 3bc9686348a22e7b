#![allow(clippy::unwrap_used, clippy::unreadable_literal)]

use proptest::prelude::*;
use statrs::function::beta::ln_beta;

use super::super::decimal;
use super::*;

fn bound(count: u64, n: u64, alpha: f64) -> f64 {
    sequence_bound(count, n, Alpha::new(alpha).unwrap()).get()
}

/// count, n, alpha and the exact bound: at 60 digits, the p below count/n at which ln B(count +
/// 1/2, n - count + 1/2) - ln pi - count ln p - (n - count) ln(1 - p) + ln alpha changes its sign,
/// by bisection with mpmath's `loggamma`.
const TRUE_BOUNDS: &[(u64, u64, f64, &str)] = &[
    (1, 1, 0.5, "0.2500000000000000000000000000000000"),
    (1, 1, 0.0002, "0.0001000000000000000000000000000000000"),
    (1, 2, 0.001, "0.0001250156289074711305313740032421843"),
    (2, 3, 0.1, "0.08253641293257100769337151205934146"),
    (
        7,
        30,
        0.0000000001,
        "0.002780080435680155626823281812291559",
    ),
    (15, 17, 0.999, "0.6952218466202767435125393041021106"),
    (300, 500, 0.4, "0.5352638504471839664117286816767136"),
    (500, 500, 0.0002, "0.9759009099956535356515004870398589"),
    (499, 500, 0.0002, "0.9691735378298099408469637547600141"),
    (450, 500, 0.0002, "0.8224225037183570255347710859362556"),
    (260, 500, 0.0002, "0.4118781766846900191788469430907931"),
    (9_321, 12_345, 0.002, "0.7364633498694949030945818086184996"),
    (1_000, 1_000, 0.01, "0.9914056070047259555034721072498852"),
    (
        100_000,
        100_000,
        0.0002,
        "0.9998515507985050396888889765978685",
    ),
    (
        99_999,
        100_000,
        0.0002,
        "0.9998154713422257819024167273300202",
    ),
    (
        84_210,
        100_000,
        0.0002,
        "0.8358245429565007768236899636566754",
    ),
    (
        50_900,
        100_000,
        0.0002,
        "0.5004857251067717460257578566645031",
    ),
    (
        3,
        1_000_000,
        0.001,
        "0.00000001022404666798651059335753379015852",
    ),
    (
        999_990,
        1_000_000,
        0.000000000001,
        "0.9999367946438087333363678996990255",
    ),
    (
        700_000_000,
        1_000_000_000,
        0.001,
        "0.6999142750027629166121563067578668",
    ),
    (
        999_999_999,
        1_000_000_000,
        0.001,
        "0.9999999783920380350188645131300570",
    ),
];

#[test]
fn no_true_bound_is_exceeded_or_missed_by_1e_12() {
    for &(k, n, alpha, truth) in TRUE_BOUNDS {
        let found = bound(k, n, alpha);
        assert!(
            decimal::compare(found, truth).is_le(),
            "{k} of {n} at {alpha}: {found:e} is above {truth}"
        );
        assert!(
            decimal::compare(found + 1e-12, truth).is_ge(),
            "{k} of {n} at {alpha}: {found:e}, not {truth}"
        );
    }
}

#[test]
fn no_draw_bounds_nothing() {
    assert_eq!(bound(0, 0, 0.001), 0.0);
    assert_eq!(bound(0, 100, 0.001), 0.0);
}

/// drawn, needed, n, beta and the number of counts, from 0 on, that are out of reach. All counts
/// were tried in exact fractions, where the mixture is a product of k - 1/2 over a factorial and
/// the likelihood a quotient of binomial coefficients.
const TRUE_REACH: &[(u64, u64, u64, f64, u64)] = &[
    (1, 1, 1, 0.5, 1),
    (10, 90, 100, 0.001, 5),
    (50, 90, 100, 0.001, 40),
    (99, 90, 100, 0.001, 89),
    (20, 40, 60, 0.1, 9),
    (100, 600, 1000, 0.0001, 38),
    (500, 600, 1000, 0.0001, 261),
    (900, 600, 1000, 0.0001, 517),
    (500, 1950, 2000, 0.0001, 471),
    (1500, 1950, 2000, 0.0001, 1450),
    (500, 2000, 2000, 0.0001, 500),
    (250, 10, 2000, 0.01, 0),
    (1000, 10, 2000, 0.01, 0),
];

#[test]
fn what_is_out_of_reach_is_what_exact_fractions_refute() {
    for &(drawn, needed, n, beta, refuted) in TRUE_REACH {
        for count in 0..=drawn {
            let found = out_of_reach(count, drawn, needed, n, Alpha::new(beta).unwrap());
            assert_eq!(
                found,
                count < refuted,
                "{count} of {drawn}, {needed} of {n} needed at {beta}"
            );
        }
    }
}

#[test]
fn what_the_rest_cannot_make_up_is_out_of_reach_and_what_is_there_is_not() {
    let never = Alpha::new(1e-300).unwrap();
    for (count, drawn, needed, n) in [
        (0, 0, 5, 5),
        (4, 10, 6, 12),
        (0, 500, 500, 1000),
        (89, 99, 90, 100),
    ] {
        assert!(
            !out_of_reach(count, drawn, needed, n, never),
            "{count} of {drawn}"
        );
        assert!(
            out_of_reach(count, drawn, count + (n - drawn) + 1, n, never),
            "{count} of {drawn}"
        );
    }
    assert!(!out_of_reach(90, 90, 90, 100, Alpha::new(0.999).unwrap()));
}

proptest! {
    #[test]
    fn the_bound_is_where_the_mixture_reaches_one_over_alpha(
        n in 1_u64..=200_000, part in 0.0..=1.0_f64, exponent in -8.0..-0.05_f64,
    ) {
        let k = 1 + ((n - 1) as f64 * part) as u64;
        let alpha = 10.0_f64.powf(exponent);
        let p = bound(k, n, alpha);
        prop_assert!(p > 0.0 && p < k as f64 / n as f64);
        let (count, rest) = (k as f64, (n - k) as f64);
        let tail = if n == k { 0.0 } else { rest * (-p).ln_1p() };
        let ln = ln_beta(count + 0.5, rest + 0.5) - ln_beta(0.5, 0.5) - count * p.ln() - tail;
        // Both sides of this cancel, at up to 1e6 times 1e-15.
        prop_assert!((ln + alpha.ln()).abs() < 1e-7, "{k} of {n}: {ln}");
    }

    #[test]
    fn more_of_the_same_class_or_more_risk_bound_higher(
        n in 2_u64..=200_000, part in 0.0..1.0_f64, exponent in -8.0..-0.05_f64,
    ) {
        let k = ((n - 1) as f64 * part) as u64;
        let alpha = 10.0_f64.powf(exponent);
        prop_assert!(bound(k, n, alpha) < bound(k + 1, n, alpha));
        prop_assert!(bound(k + 1, n, alpha) < bound(k + 1, n, alpha * 1.1));
    }

    #[test]
    fn looking_at_every_number_of_draws_costs_something(
        n in 1_u64..=100_000, part in 0.5..=1.0_f64,
    ) {
        let k = 1 + ((n - 1) as f64 * part) as u64;
        let alpha = Alpha::new(0.001).unwrap();
        prop_assert!(sequence_bound(k, n, alpha) < super::super::lower_bound(k, n, alpha));
    }
}
