#![allow(clippy::unwrap_used)]

use std::num::NonZeroU64;

use super::*;
use crate::domain::Alpha;
use crate::spec::{BoundRule, Stopping};

fn spec(n0: u64, n: u64, chunk: u64) -> CertifySpec {
    let [n0, n, chunk] = [n0, n, chunk].map(|count| NonZeroU64::new(count).unwrap());
    CertifySpec {
        n0,
        n,
        alpha: Alpha::new(0.001).unwrap(),
        chunk,
        memory: false,
        stopping: Stopping::Loss(0.01),
        bound: BoundRule::OneClass,
    }
}

#[test]
fn the_posterior_has_the_moments_of_its_beta_distribution() {
    for (count, n0) in [
        (0, 10),
        (5, 10),
        (10, 10),
        (97, 100),
        (100, 100),
        (700, 1000),
    ] {
        let posterior = posterior(count, n0);
        let (a, b) = (count as f64 + 0.5, (n0 - count) as f64 + 0.5);
        let moment = |power: i32| {
            posterior
                .iter()
                .map(|&(p, weight)| weight * p.powi(power))
                .sum::<f64>()
        };
        assert!((moment(0) - 1.0).abs() < 1e-12);
        let (mean, square) = (a / (a + b), a * (a + 1.0) / ((a + b) * (a + b + 1.0)));
        assert!(
            (moment(1) - mean).abs() < 1e-5,
            "{count} of {n0}: {} not {mean}",
            moment(1)
        );
        assert!(
            (moment(2) - square).abs() < 1e-5,
            "{count} of {n0}: {} not {square}",
            moment(2)
        );
    }
}

#[test]
fn it_is_the_smallest_number_of_chunks_that_loses_no_more() {
    let spec = spec(100, 20_000, 500);
    for count in [60, 80, 95, 99, 100] {
        let posterior = posterior(count, 100);
        let expected = |n| -> f64 {
            posterior
                .iter()
                .map(|&(p, weight)| weight * quantile(&spec, p, n))
                .sum()
        };
        let likely = |n| quantile(&spec, count as f64 / 100.0, n);
        let enough =
            |n| expected(n) >= 0.99 * expected(20_000) && likely(n) >= 0.99 * likely(20_000);
        let chosen = draws(&spec, 0.01, count);
        assert_eq!(chosen % 500, 0);
        assert!(enough(chosen) && !enough(chosen - 500), "{count}: {chosen}");
    }
}

#[test]
fn a_guess_far_from_a_majority_gets_one_chunk_and_no_loss_allowed_gets_all() {
    assert_eq!(draws(&spec(100, 20_000, 500), 0.01, 10), 500);
    assert_eq!(draws(&spec(100, 20_250, 500), 1e-9, 100), 20_250);
    assert_eq!(draws(&spec(100, 300, 500), 0.5, 90), 300);
}

#[test]
fn a_larger_loss_takes_fewer_draws() {
    let spec = spec(100, 100_000, 500);
    let drawn = [0.001, 0.01, 0.05, 0.2].map(|loss| draws(&spec, loss, 90));
    assert!(drawn.is_sorted_by(|a, b| a > b), "{drawn:?}");
}
