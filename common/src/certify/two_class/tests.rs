#![allow(clippy::unwrap_used)]

use std::num::NonZeroU64;

use super::*;
use crate::certify::{Certificate, Certifier, CertifierStep};
use crate::domain::{Alpha, Outcome, Phase, Radii};
use crate::spec::Stopping;
use crate::stats;

fn spec(bound: BoundRule) -> CertifySpec {
    CertifySpec {
        n0: NonZeroU64::new(100).unwrap(),
        n: NonZeroU64::new(10_000).unwrap(),
        alpha: Alpha::new(0.001).unwrap(),
        chunk: NonZeroU64::new(500).unwrap(),
        memory: false,
        stopping: Stopping::Fixed,
        bound,
    }
}

fn chosen(guess: u64, runner_up: u64) -> BoundRule {
    choose(
        &spec(BoundRule::TwoClass),
        SelectionCounts { guess, runner_up },
    )
}

/// Certifies with these counts, and returns the certificate.
fn certify(spec: &CertifySpec, select: &[u64], estimate: &[u64]) -> Certificate {
    let mut certifier = Certifier::new(spec, Sigma::new(1.0).unwrap(), GridLoss::NONE);
    certifier.observe(select).unwrap();
    certifier.observe(estimate).unwrap();
    match certifier.next() {
        CertifierStep::Done(certificate) => certificate,
        step @ CertifierStep::Draw { .. } => panic!("{step:?}"),
    }
}

fn radius(certificate: Certificate) -> Option<f64> {
    match certificate.outcome {
        Outcome::Certified { radius, .. } => Some(radius.get()),
        Outcome::Abstained => None,
    }
}

#[test]
fn two_classes_are_chosen_where_the_other_draws_are_spread_and_never_near_the_top() {
    for (guess, runner_up, expected) in [
        (45, 30, BoundRule::TwoClass),
        (70, 15, BoundRule::TwoClass),
        (95, 3, BoundRule::TwoClass),
        // All other draws are of one class.
        (70, 30, BoundRule::OneClass),
        // The other draws are of many classes, but hardly any is.
        (96, 1, BoundRule::OneClass),
        (100, 0, BoundRule::OneClass),
        // Neither is expected to certify.
        (40, 39, BoundRule::TwoClass),
    ] {
        assert_eq!(chosen(guess, runner_up), expected, "{guess} {runner_up}");
    }
    let selected = SelectionCounts {
        guess: 45,
        runner_up: 30,
    };
    assert_eq!(
        choose(&spec(BoundRule::OneClass), selected),
        BoundRule::OneClass
    );
}

#[test]
fn a_guess_below_one_half_is_certified_if_no_other_class_is_near() {
    let spec = spec(BoundRule::TwoClass);
    let found = certify(&spec, &[45, 30, 25], &[4_600, 2_900, 2_500]);
    let alpha = Alpha::new(0.001 / 3.0).unwrap();
    let p_lower = stats::lower_bound(4_600, 10_000, alpha).get();
    let p_upper = stats::upper_bound(2_900, 10_000, alpha).get();
    assert!((found.p_lower.get() - p_lower).abs() < 1e-12 && p_lower < 0.45);
    assert!((found.p_upper.unwrap().get() - p_upper).abs() < 1e-12);
    // (q(0.4432) - q(0.3055)) / 2
    assert!((radius(found).unwrap() - 0.183).abs() < 0.002, "{found:?}");
    // The one-class bound abstains on the same draws.
    let one = CertifySpec {
        bound: BoundRule::OneClass,
        ..spec
    };
    let one = certify(&one, &[45, 30, 25], &[4_600, 2_900, 2_500]);
    assert_eq!((radius(one), one.p_upper), (None, None));
}

#[test]
fn the_remaining_classes_are_bounded_together_and_never_above_the_complement() {
    let spec = spec(BoundRule::TwoClass);
    let p_upper = |estimate: &[u64]| certify(&spec, &[60, 20, 20], estimate).p_upper.unwrap();
    let alpha = Alpha::new(0.001 / 3.0).unwrap();
    let of_rest = stats::upper_bound(3_000, 10_000, alpha).get();
    assert!((p_upper(&[6_000, 1_000, 3_000]).get() - of_rest).abs() < 1e-12);
    let complement = 1.0 - stats::lower_bound(6_000, 10_000, alpha).get();
    assert!((p_upper(&[6_000, 4_000, 0]).get() - complement).abs() < 1e-12);
}

#[test]
fn a_sample_of_two_classes_draws_all_n_at_once_whatever_the_stopping_rule() {
    for stopping in [
        Stopping::Radii(Radii::new(&[0.0]).unwrap()),
        Stopping::Loss(0.1),
    ] {
        let spec = CertifySpec {
            stopping,
            ..spec(BoundRule::TwoClass)
        };
        let mut certifier = Certifier::new(&spec, Sigma::new(1.0).unwrap(), GridLoss::NONE);
        certifier.observe(&[60, 20, 20]).unwrap();
        let all = CertifierStep::Draw {
            phase: Phase::Estimate,
            chunk: 0,
            n: 10_000,
        };
        assert_eq!(certifier.next(), all);
    }
}

#[test]
fn a_certificate_has_the_counts_of_its_selection_phase_where_a_rule_uses_them() {
    let counts =
        |spec: &CertifySpec| certify(spec, &[20, 60, 20], &[2_000, 6_000, 2_000]).n0_counts;
    let used = SelectionCounts {
        guess: 60,
        runner_up: 20,
    };
    assert_eq!(counts(&spec(BoundRule::TwoClass)), Some(used));
    assert_eq!(counts(&spec(BoundRule::OneClass)), None);
}

#[test]
fn bounds_exist_only_after_all_n() {
    let spec = spec(BoundRule::TwoClass);
    let at = |n| {
        let counts = EstimationCounts {
            n,
            count: 400,
            runner_up: 100,
        };
        let sample = SampleBounds {
            spec: &spec,
            sigma: Sigma::new(1.0).unwrap(),
            loss: GridLoss::NONE,
        };
        sample.of(BoundRule::TwoClass, counts)
    };
    assert!(at(10_000).is_some() && at(500).is_none());
}
