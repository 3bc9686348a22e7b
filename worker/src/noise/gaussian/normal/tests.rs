#![allow(clippy::unwrap_used)]
//! Ten million values against the normal distribution, and against another generator of it.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use statrs::distribution::{ContinuousCDF, Normal};

use super::*;

const VALUES: usize = 10_000_000 / BLOCK * BLOCK;

fn values(seed: u64) -> Vec<f32> {
    let mut bits = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut values = vec![0.0; VALUES];
    for block in values.as_chunks_mut().0 {
        fill(&mut bits, block);
    }
    values
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// Within five standard errors of `expected`.
fn check(what: &str, found: f64, expected: f64, deviation: f64, count: usize) {
    let allowed = 5.0 * deviation / (count as f64).sqrt();
    assert!(
        (found - expected).abs() < allowed,
        "{what}: {found}, not {expected} within {allowed}"
    );
}

#[test]
fn the_first_six_moments_are_those_of_the_normal_distribution() {
    let values = values(1);
    // The variance of z^k is (2k-1)!! - E[z^k]^2.
    for (power, expected, variance) in [
        (1, 0.0, 1.0),
        (2, 1.0, 2.0),
        (3, 0.0, 15.0),
        (4, 3.0, 96.0),
        (5, 0.0, 945.0),
        (6, 15.0, 10170.0_f64),
    ] {
        let found = mean(values.iter().map(|&v| f64::from(v).powi(power)));
        check(
            &format!("moment {power}"),
            found,
            expected,
            variance.sqrt(),
            VALUES,
        );
    }
}

#[test]
fn the_distribution_is_normal_by_kolmogorov_smirnov_and_anderson_darling() {
    let normal = Normal::standard();
    let mut sorted = values(2);
    sorted.sort_unstable_by(f32::total_cmp);
    let n = VALUES as f64;
    let (mut distance, mut square) = (0.0_f64, 0.0);
    for (place, (&low, &high)) in sorted.iter().zip(sorted.iter().rev()).enumerate() {
        let (below, i) = (normal.cdf(f64::from(low)), place as f64);
        distance = distance.max((below - i / n).max((i + 1.0) / n - below));
        square += (2.0 * i + 1.0) * (below.ln() + normal.sf(f64::from(high)).ln());
    }
    let anderson_darling = -n - square / n;
    // Critical values at a level of 0.001.
    assert!(distance * n.sqrt() < 1.95, "{}", distance * n.sqrt());
    assert!(anderson_darling < 6.0, "{anderson_darling}");
}

#[test]
fn tails_hold_as_many_values_as_they_should() {
    let (values, normal) = (values(3), Normal::standard());
    for edge in [1.0, 2.0, 3.0, 4.0, 4.5] {
        let expected = normal.sf(edge);
        let (above, below) = (
            |v: &&f32| f64::from(**v) > edge,
            |v: &&f32| f64::from(**v) < -edge,
        );
        let deviation = (expected * (1.0 - expected)).sqrt();
        for (side, found) in [
            ("above", values.iter().filter(above).count()),
            ("below", values.iter().filter(below).count()),
        ] {
            check(
                &format!("{side} {edge}"),
                found as f64 / VALUES as f64,
                expected,
                deviation,
                VALUES,
            );
        }
    }
}

#[test]
fn two_values_have_nothing_to_do_with_each_other() {
    let values = values(4);
    // A pair lies PAIRS apart; the others are neighbours in a row, in a column of 32 and of 224
    // pixels, and far off.
    for lag in [1, 2, 3, PAIRS, BLOCK, 96, 672, 3072] {
        let pairs = || {
            values
                .iter()
                .zip(&values[lag..])
                .map(|(&a, &b)| (f64::from(a), f64::from(b)))
        };
        let count = VALUES - lag;
        check(
            &format!("lag {lag}"),
            pairs().map(|(a, b)| a * b).sum::<f64>() / count as f64,
            0.0,
            1.0,
            count,
        );
        let squares = pairs()
            .map(|(a, b)| (a * a - 1.0) * (b * b - 1.0))
            .sum::<f64>()
            / count as f64;
        check(&format!("squares at lag {lag}"), squares, 0.0, 2.0, count);
    }
}

#[test]
fn the_directions_of_pairs_fill_the_circle_evenly() {
    let values = values(5);
    let mut sectors = [0u32; 360];
    for block in values.as_chunks::<BLOCK>().0 {
        for place in 0..PAIRS {
            let degrees = f64::from(block[PAIRS + place])
                .atan2(f64::from(block[place]))
                .to_degrees();
            sectors[(degrees.rem_euclid(360.0) as usize).min(359)] += 1;
        }
    }
    let expected = VALUES as f64 / 720.0;
    let chi_square: f64 = sectors
        .iter()
        .map(|&count| (f64::from(count) - expected).powi(2) / expected)
        .sum();
    // 359 degrees of freedom: the mean is 359, a standard deviation 26.8.
    assert!((225.0..493.0).contains(&chi_square), "{chi_square}");
}

#[test]
fn another_generator_of_the_normal_distribution_cannot_be_told_apart() {
    let mut ours = values(6);
    let mut bits = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut theirs: Vec<f32> = (0..VALUES).map(|_| bits.sample(StandardNormal)).collect();
    ours.sort_unstable_by(f32::total_cmp);
    theirs.sort_unstable_by(f32::total_cmp);
    let (mut distance, mut place) = (0usize, 0);
    for (i, value) in ours.iter().enumerate() {
        while place < VALUES && theirs[place] <= *value {
            place += 1;
        }
        distance = distance.max(i.abs_diff(place));
    }
    // Two samples: the critical value at a level of 0.001 is 1.95 sqrt(2 / n).
    assert!(
        (distance as f64) < 1.95 * (2.0 * VALUES as f64).sqrt(),
        "{distance}"
    );
}

#[test]
fn polynomials_are_as_exact_as_single_precision_is() {
    let mut bits = Xoshiro256PlusPlus::seed_from_u64(8);
    for _ in 0..1_000_000 {
        // All scales of lengths, not only those that are likely.
        let (coarse, fine) = (bits.next_u32() >> (bits.next_u32() & 31), bits.next_u32());
        let uniform =
            (f64::from(coarse >> 1) + (f64::from(fine & 0xff) + 0.5) / 256.0) / 2f64.powi(31);
        let exact = (-2.0 * uniform.ln()).sqrt();
        let found = f64::from(length(coarse, fine));
        // Near u = 1, where ln u is about u - 1, the rounding of u itself is all the error.
        let allowed = 4e-7 * exact + if exact < 0.01 { 4e-4 } else { 1e-7 / exact };
        assert!(
            (found - exact).abs() < allowed,
            "{coarse} {fine}: {found} for {exact}"
        );
        let turn = fine >> 8;
        let (sine, cosine) = ((f64::from(turn) + 0.5) / 2f64.powi(24) * std::f64::consts::TAU
            - std::f64::consts::FRAC_PI_4)
            .sin_cos();
        let (first, second) = direction(turn);
        assert!(
            (f64::from(first) - cosine).abs() < 2e-7 && (f64::from(second) - sine).abs() < 2e-7,
            "{turn}"
        );
    }
}

#[test]
fn the_extremes_are_finite_and_far_out() {
    assert!((7.4..7.5).contains(&length(0, 0)));
    assert_eq!(length(u32::MAX, u32::MAX), 0.0);
    assert!(length(1 << 30, 0).is_finite());
}
