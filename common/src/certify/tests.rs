#![allow(clippy::unwrap_used, clippy::unreadable_literal)]

use std::num::NonZeroU64;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::domain::{Alpha, Radii, RunnerUp};
use crate::spec::Stopping;

fn certifier(n0: u64, n: u64, alpha: f64) -> Certifier {
    let positive = |n| NonZeroU64::new(n).unwrap();
    let alpha = Alpha::new(alpha).unwrap();
    let spec = CertifySpec {
        n0: positive(n0),
        n: positive(n),
        alpha,
        chunk: positive(n),
        memory: false,
        stopping: Stopping::Fixed,
        bound: BoundRule::OneClass,
    };
    Certifier::new(&spec, Sigma::new(0.5).unwrap(), GridLoss::NONE)
}

/// Answers both phases and returns the certificate.
fn certificate(mut certifier: Certifier, select: &[u64], estimate: &[u64]) -> Certificate {
    certifier.observe(select).unwrap();
    certifier.observe(estimate).unwrap();
    match certifier.next() {
        CertifierStep::Done(certificate) => certificate,
        step @ CertifierStep::Draw { .. } => panic!("{step:?}"),
    }
}

#[test]
fn it_selects_then_estimates_then_is_done() {
    let mut certifier = certifier(10, 1000, 0.001);
    assert_eq!(
        certifier.next(),
        CertifierStep::Draw {
            phase: Phase::Select,
            chunk: 0,
            n: 10
        }
    );
    certifier.observe(&[1, 7, 2]).unwrap();
    assert_eq!(
        certifier.next(),
        CertifierStep::Draw {
            phase: Phase::Estimate,
            chunk: 0,
            n: 1000
        }
    );
    certifier.observe(&[90, 900, 10]).unwrap();
    let CertifierStep::Done(certificate) = certifier.next() else {
        panic!("{:?}", certifier.next())
    };
    let p_lower = stats::lower_bound(900, 1000, Alpha::new(0.001).unwrap());
    let radius = stats::radius(Sigma::new(0.5).unwrap(), p_lower);
    let outcome = Outcome::Certified {
        class: Class(1),
        radius,
    };
    assert_eq!(
        certificate,
        Certificate {
            outcome,
            n0: 10,
            n: 1000,
            count: 900,
            p_lower,
            p_upper: None,
            runner_up: Some(RunnerUp {
                class: Class(2),
                count: 10
            }),
            n0_counts: None,
        }
    );
    assert!(
        radius.get() > 0.5 * 1.1 && radius.get() < 0.5 * 1.2816,
        "{radius}"
    );
}

#[test]
fn the_guess_is_never_changed_by_the_draws_that_bound_it() {
    let certificate = certificate(certifier(10, 100, 0.001), &[4, 6], &[95, 5]);
    assert_eq!(
        (certificate.outcome, certificate.count),
        (Outcome::Abstained, 5)
    );
    assert!(certificate.p_lower.get() > 0.0 && certificate.p_lower.get() < 0.05);
}

#[test]
fn the_runner_up_is_the_most_frequent_other_class_of_the_selection_phase() {
    let runner_up = |select: &[u64]| {
        let estimate = [40, 30, 20, 10];
        certificate(certifier(10, 100, 0.001), select, &estimate[..select.len()])
            .runner_up
            .map(|other| (other.class.0, other.count))
    };
    assert_eq!(runner_up(&[1, 6, 1, 2]), Some((3, 10)));
    // The lowest among equals, also where no draw gave another class.
    assert_eq!(runner_up(&[2, 6, 0, 2]), Some((0, 40)));
    assert_eq!(runner_up(&[10, 0, 0, 0]), Some((1, 30)));
}

#[test]
fn a_tied_guess_takes_the_lowest_class() {
    assert_eq!(
        certificate(certifier(10, 100, 0.001), &[0, 4, 4, 2], &[1, 99, 0, 0]).count,
        99
    );
}

#[test]
fn a_majority_too_small_to_be_sure_of_abstains() {
    let alpha = Alpha::new(0.001).unwrap();
    let enough = (501..=1000)
        .find(|&k| stats::lower_bound(k, 1000, alpha).get() > 0.5)
        .unwrap();
    let outcome =
        |count| certificate(certifier(10, 1000, 0.001), &[10, 0], &[count, 1000 - count]).outcome;
    assert_eq!(outcome(enough - 1), Outcome::Abstained);
    assert!(matches!(
        outcome(enough),
        Outcome::Certified {
            class: Class(0),
            ..
        }
    ));
}

#[test]
fn counts_that_do_not_add_up_are_refused_and_change_nothing() {
    let mut certifier = certifier(10, 100, 0.001);
    let wrong = certifier.observe(&[5, 4]).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "9 draws were counted in the select phase, 10 were requested"
    );
    assert!(certifier.observe(&[u64::MAX, 11]).is_err());
    assert!(certifier.observe(&[]).is_err());
    assert_eq!(
        certifier.next(),
        CertifierStep::Draw {
            phase: Phase::Select,
            chunk: 0,
            n: 10
        }
    );

    certifier.observe(&[0, 10]).unwrap();
    assert_eq!(
        certifier.observe(&[100]),
        Err(CertifyError::NoSuchClass {
            class: 1,
            classes: 1
        })
    );
    assert_eq!(
        certifier.next(),
        CertifierStep::Draw {
            phase: Phase::Estimate,
            chunk: 0,
            n: 100
        }
    );

    certifier.observe(&[0, 100]).unwrap();
    assert_eq!(certifier.observe(&[0, 100]), Err(CertifyError::Finished));
}

#[test]
fn a_perfect_classifier_gets_the_largest_radius_that_the_draws_allow() {
    // sigma q(alpha^(1/n)), at 50 digits, for sigma 0.5 and alpha 0.001: Cohen et al. 2019, section
    // 3.2.2.
    for (n, largest) in [
        (100, 0.7502375120603182),
        (10_000, 1.5992887573691659),
        (100_000, 1.9057282816949759),
    ] {
        let Outcome::Certified { radius, .. } =
            certificate(certifier(100, n, 0.001), &[100, 0], &[n, 0]).outcome
        else {
            panic!("{n} draws that agree abstained")
        };
        assert!(
            radius.get() <= largest && radius.get() > largest * (1.0 - 1e-12),
            "{n}: {radius}, not {largest}"
        );
    }
}

/// Counts the certificates that claim more than `p`, among 2,000 seeded ones of a class with
/// probability `p`.
fn overclaims(p: f64, n: u64, alpha: f64, seed: u64) -> u64 {
    let mut noise = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut draw = |n: u64| (0..n).filter(|_| noise.random_bool(p)).count() as u64;
    let repetition = |_: &u64| {
        let (selected, estimated) = (draw(20), draw(n));
        let certificate = certificate(
            certifier(20, n, alpha),
            &[selected, 20 - selected],
            &[estimated, n - estimated],
        );
        let truth = if selected >= 10 { p } else { 1.0 - p };
        certificate.p_lower.get() > truth
    };
    (0..2000).filter(repetition).count() as u64
}

#[test]
fn at_most_alpha_of_all_certificates_claim_too_much() {
    for (seed, (p, n)) in [(0.6, 100), (0.8, 500), (0.97, 1000)]
        .into_iter()
        .enumerate()
    {
        let wrong = overclaims(p, n, 0.05, seed as u64);
        // A rate of at most alpha gives this number of failures with a probability of 1e-4 or more,
        // ...
        let rate = stats::lower_bound(wrong, 2000, Alpha::new(1e-4).unwrap());
        assert!(rate.get() <= 0.05, "p {p} n {n}: {wrong} of 2000");
        // ... and a bound that holds nearly always would be a needlessly small one.
        assert!(wrong > 20, "p {p} n {n}: {wrong} of 2000");
    }
}

fn deciding(radii: &[f64], n: u64, chunk: u64, alpha: f64) -> CertifySpec {
    let [n0, n, chunk] = [10, n, chunk].map(|n| NonZeroU64::new(n).unwrap());
    let stopping = Stopping::Radii(Radii::new(radii).unwrap());
    CertifySpec {
        n0,
        n,
        alpha: Alpha::new(alpha).unwrap(),
        chunk,
        memory: false,
        stopping,
        bound: BoundRule::OneClass,
    }
}

/// A sample whose every chunk has the guess in this share of its draws.
fn steady(spec: &CertifySpec, sigma: f64, share: f64) -> Certificate {
    let mut certifier = Certifier::new(spec, Sigma::new(sigma).unwrap(), GridLoss::NONE);
    loop {
        match certifier.next() {
            CertifierStep::Draw {
                phase: Phase::Select,
                n,
                ..
            } => certifier.observe(&[n, 0]).unwrap(),
            CertifierStep::Draw { n, .. } => {
                let count = (share * n as f64).round() as u64;
                certifier.observe(&[count, n - count]).unwrap();
            }
            CertifierStep::Done(certificate) => return certificate,
        }
    }
}

#[test]
fn deciding_radii_asks_chunk_after_chunk_and_for_the_rest_at_the_end() {
    let mut certifier = Certifier::new(
        &deciding(&[0.0], 1250, 500, 0.001),
        Sigma::new(0.5).unwrap(),
        GridLoss::NONE,
    );
    certifier.observe(&[10, 0]).unwrap();
    for (chunk, n) in [(0, 500), (1, 500), (2, 250)] {
        assert_eq!(
            certifier.next(),
            CertifierStep::Draw {
                phase: Phase::Estimate,
                chunk,
                n
            }
        );
        assert!(certifier.observe(&[n, 1]).is_err());
        // The whole would certify about 0.52 at least, so this stays undecided.
        certifier
            .observe(&[n * 535 / 1000, n - n * 535 / 1000])
            .unwrap();
    }
    assert!(
        matches!(
            certifier.next(),
            CertifierStep::Done(Certificate {
                n: 1250,
                count: 667,
                ..
            })
        ),
        "{:?}",
        certifier.next()
    );
}

#[test]
fn what_is_certified_at_the_end_of_a_chunk_is_recorded_with_the_bound_of_the_sequence() {
    let spec = deciding(&[0.0, 0.25, 0.5], 100_000, 500, 0.001);
    let certificate = steady(&spec, 0.5, 0.99);
    assert!(certificate.n < 2_000, "{certificate:?}");
    let sequence = stats::sequence_bound(
        certificate.count,
        certificate.n,
        Alpha::new(0.0002).unwrap(),
    );
    assert!(
        (certificate.p_lower.get() - sequence.get()).abs() < 1e-12
            && certificate.p_lower <= sequence
    );
    let Outcome::Certified { radius, .. } = certificate.outcome else {
        panic!("{certificate:?}")
    };
    assert!(
        radius.get() >= 0.5
            && radius == stats::radius(Sigma::new(0.5).unwrap(), certificate.p_lower)
    );
}

#[test]
fn radii_out_of_reach_are_given_up() {
    let grid: Vec<f64> = (0..=20).map(|i| 0.25 * f64::from(i)).collect();
    let spec = deciding(&grid, 100_000, 500, 0.001);
    // Far below one half, between two radii, and above the largest that the draws can certify.
    for (share, certified) in [(0.2, None), (0.9, Some(0.5)), (1.0, Some(1.75))] {
        let certificate = steady(&spec, 0.5, share);
        assert!(certificate.n < 70_000, "{share}: {certificate:?}");
        let reached = match certificate.outcome {
            Outcome::Certified { radius, .. } => grid.iter().copied().rfind(|&r| r <= radius.get()),
            Outcome::Abstained => None,
        };
        assert_eq!(reached, certified, "{share}: {certificate:?}");
    }
}

#[test]
fn a_loss_takes_whole_chunks_that_the_selection_alone_decides() {
    let stopping = Stopping::Loss(0.05);
    let spec = CertifySpec {
        stopping,
        ..deciding(&[0.0], 20_250, 500, 0.001)
    };
    let asked = |selected: u64| {
        let mut certifier = Certifier::new(&spec, Sigma::new(0.5).unwrap(), GridLoss::NONE);
        certifier.observe(&[selected, 10 - selected]).unwrap();
        let CertifierStep::Draw {
            phase: Phase::Estimate,
            chunk: 0,
            n,
        } = certifier.next()
        else {
            panic!()
        };
        certifier.observe(&[n, 0]).unwrap();
        let CertifierStep::Done(certificate) = certifier.next() else {
            panic!()
        };
        assert_eq!(
            (certificate.n, certificate.p_lower),
            (n, stats::lower_bound(n, n, spec.alpha))
        );
        n
    };
    assert!(asked(8) % 500 == 0 && asked(8) < 20_250);
    assert_eq!(asked(8), asked(8));
}

#[test]
fn a_stopping_rule_does_not_change_what_fixed_records() {
    let fixed = CertifySpec {
        stopping: Stopping::Fixed,
        ..deciding(&[0.0], 1000, 100, 0.001)
    };
    assert_eq!(
        bound(&fixed, 900, 1000),
        Some(stats::lower_bound(900, 1000, fixed.alpha))
    );
    for n in [0, 100, 999, 1001] {
        assert_eq!(bound(&fixed, n / 2, n), None, "{n}");
    }
    assert_eq!(bound(&fixed, 1001, 1000), None);
}

#[test]
fn after_all_draws_the_larger_of_two_bounds_counts() {
    let spec = deciding(&[0.0], 1000, 100, 0.001);
    let fixed = |count| stats::lower_bound(count, 1000, Alpha::new(0.0008).unwrap()).get();
    for count in [1, 500, 900, 1000] {
        let found = bound(&spec, count, 1000).unwrap().get();
        assert!(
            found <= fixed(count) && found > fixed(count) - 1e-12,
            "{count}: {found}"
        );
    }
}
