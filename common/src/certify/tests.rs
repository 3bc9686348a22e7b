#![allow(clippy::unwrap_used, clippy::unreadable_literal)]

use std::num::NonZeroU64;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::domain::Alpha;
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
    };
    Certifier::new(&spec, Sigma::new(0.5).unwrap())
}

/// Answers both phases and returns the verdict.
fn verdict(mut certifier: Certifier, select: &[u64], estimate: &[u64]) -> Verdict {
    certifier.observe(select).unwrap();
    certifier.observe(estimate).unwrap();
    match certifier.next() {
        Step::Done(verdict) => verdict,
        step @ Step::Draw { .. } => panic!("{step:?}"),
    }
}

#[test]
fn it_selects_then_estimates_then_is_done() {
    let mut certifier = certifier(10, 1000, 0.001);
    assert_eq!(certifier.next(), Step::Draw { phase: Phase::Select, chunk: 0, n: 10 });
    certifier.observe(&[1, 7, 2]).unwrap();
    assert_eq!(certifier.next(), Step::Draw { phase: Phase::Estimate, chunk: 0, n: 1000 });
    certifier.observe(&[90, 900, 10]).unwrap();
    let Step::Done(verdict) = certifier.next() else { panic!("{:?}", certifier.next()) };
    let p_lower = stats::lower_bound(900, 1000, Alpha::new(0.001).unwrap());
    let radius = stats::radius(Sigma::new(0.5).unwrap(), p_lower);
    let outcome = Outcome::Certified { class: Class(1), radius };
    assert_eq!(verdict, Verdict { outcome, n0: 10, n: 1000, count: 900, p_lower });
    assert!(radius.get() > 0.5 * 1.1 && radius.get() < 0.5 * 1.2816, "{radius}");
}

#[test]
fn the_guess_is_never_changed_by_the_draws_that_bound_it() {
    let verdict = verdict(certifier(10, 100, 0.001), &[4, 6], &[95, 5]);
    assert_eq!((verdict.outcome, verdict.count), (Outcome::Abstained, 5));
    assert!(verdict.p_lower.get() > 0.0 && verdict.p_lower.get() < 0.05);
}

#[test]
fn a_tied_guess_takes_the_lowest_class() {
    assert_eq!(verdict(certifier(10, 100, 0.001), &[0, 4, 4, 2], &[1, 99, 0, 0]).count, 99);
}

#[test]
fn a_majority_too_small_to_be_sure_of_abstains() {
    let alpha = Alpha::new(0.001).unwrap();
    let enough = (501..=1000).find(|&k| stats::lower_bound(k, 1000, alpha).get() > 0.5).unwrap();
    let outcome = |count| verdict(certifier(10, 1000, 0.001), &[10, 0], &[count, 1000 - count]).outcome;
    assert_eq!(outcome(enough - 1), Outcome::Abstained);
    assert!(matches!(outcome(enough), Outcome::Certified { class: Class(0), .. }));
}

#[test]
fn counts_that_do_not_add_up_are_refused_and_change_nothing() {
    let mut certifier = certifier(10, 100, 0.001);
    let wrong = certifier.observe(&[5, 4]).unwrap_err();
    assert_eq!(wrong.to_string(), "9 draws were counted in the select phase, where 10 were asked for");
    assert!(certifier.observe(&[u64::MAX, 11]).is_err());
    assert!(certifier.observe(&[]).is_err());
    assert_eq!(certifier.next(), Step::Draw { phase: Phase::Select, chunk: 0, n: 10 });

    certifier.observe(&[0, 10]).unwrap();
    assert_eq!(certifier.observe(&[100]), Err(CertifyError::NoSuchClass { class: 1, classes: 1 }));
    assert_eq!(certifier.next(), Step::Draw { phase: Phase::Estimate, chunk: 0, n: 100 });

    certifier.observe(&[0, 100]).unwrap();
    assert_eq!(certifier.observe(&[0, 100]), Err(CertifyError::Finished));
}

#[test]
fn a_perfect_classifier_gets_the_largest_radius_that_the_draws_allow() {
    // sigma q(alpha^(1/n)), at 50 digits, for sigma 0.5 and alpha 0.001: Cohen et al. 2019, section 3.2.2.
    for (n, largest) in [(100, 0.7502375120603182), (10_000, 1.5992887573691659), (100_000, 1.9057282816949759)] {
        let Outcome::Certified { radius, .. } = verdict(certifier(100, n, 0.001), &[100, 0], &[n, 0]).outcome else {
            panic!("{n} draws that agree abstained")
        };
        assert!(radius.get() <= largest && radius.get() > largest * (1.0 - 1e-12), "{n}: {radius}, not {largest}");
    }
}

/// How many of 2,000 seeded certificates of a class with probability `p` claim more than that.
fn overclaims(p: f64, n: u64, alpha: f64, seed: u64) -> u64 {
    let mut noise = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut draw = |n: u64| (0..n).filter(|_| noise.random_bool(p)).count() as u64;
    let repetition = |_: &u64| {
        let (selected, estimated) = (draw(20), draw(n));
        let verdict = verdict(certifier(20, n, alpha), &[selected, 20 - selected], &[estimated, n - estimated]);
        let truth = if selected >= 10 { p } else { 1.0 - p };
        verdict.p_lower.get() > truth
    };
    (0..2000).filter(repetition).count() as u64
}

#[test]
fn at_most_alpha_of_all_certificates_claim_too_much() {
    for (seed, (p, n)) in [(0.6, 100), (0.8, 500), (0.97, 1000)].into_iter().enumerate() {
        let wrong = overclaims(p, n, 0.05, seed as u64);
        // A rate of at most alpha gives so many failures with a probability of 1e-4 or more, ...
        let rate = stats::lower_bound(wrong, 2000, Alpha::new(1e-4).unwrap());
        assert!(rate.get() <= 0.05, "p {p} n {n}: {wrong} of 2000");
        // ... and a bound that holds nearly always would be a needlessly small one.
        assert!(wrong > 20, "p {p} n {n}: {wrong} of 2000");
    }
}
