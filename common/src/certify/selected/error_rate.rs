//! Measures the rate of false certificates of selected variants, and shows that the measurement
//! detects alpha that is not divided.
//!
//! Every probability is known. A certificate is false if its radius R is above the smallest of the
//! true R_J and max(r_j, R_j): then the selector may give a level within R whose expert does not
//! keep the class. The probabilities lie just below values that their bounds can take, where the
//! bounds fail most often, and such that the true r_j and R_j of a level are equal: a failure of
//! either makes the certificate false.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroU64;

use super::tests::levels_at;
use super::*;
use crate::certify::error_rate::{Noise, RUNS, within};
use crate::domain::{Alpha, Radii};
use crate::spec::{BoundRule, SelectedForm, Stopping};
use crate::stats;

const N: u64 = 1_000;
const ALPHA: f64 = 0.05;

fn alpha(value: f64) -> Alpha {
    Alpha::new(value).unwrap()
}

fn certify_spec(stopping: Stopping) -> CertifySpec {
    let positive = |n| NonZeroU64::new(n).unwrap();
    CertifySpec {
        n0: positive(20),
        n: positive(N),
        alpha: alpha(ALPHA),
        chunk: positive(100),
        memory: false,
        stopping,
        bound: BoundRule::OneClass,
    }
}

/// Levels of these sigmas, at a tau of 1.
fn selected_spec(form: SelectedForm, sigmas: &[f64]) -> SelectedSpec {
    levels_at(1.0, form, sigmas)
}

/// An input whose probabilities are known: those of the levels, and that of class 0 at each level.
struct KnownInput {
    levels: Vec<f64>,
    class: Vec<f64>,
    /// For each level but the last, draws of it among those that gave no earlier one.
    selector: Vec<Noise>,
    experts: Vec<Noise>,
}

impl KnownInput {
    fn new(levels: &[f64], class: &[f64], seed: u64) -> Self {
        let mut left = 1.0;
        let mut selector = Vec::new();
        for (&level, seed) in levels.iter().zip(1000 * seed..) {
            selector.push(Noise::new((level / left).min(1.0 - 1e-15), seed));
            left -= level;
        }
        selector.pop();
        let experts = class.iter().zip(1000 * seed + 500..);
        Self {
            levels: levels.to_vec(),
            class: class.to_vec(),
            selector,
            experts: experts.map(|(&p, seed)| Noise::new(p, seed)).collect(),
        }
    }

    fn counts(&mut self, source: DrawSource, n: u64) -> Vec<u64> {
        match source {
            DrawSource::Selector => self.level_counts(n),
            DrawSource::Expert(level) => {
                let count = self.experts[level as usize].count(n);
                vec![count, n - count]
            }
        }
    }

    fn level_counts(&mut self, n: u64) -> Vec<u64> {
        let mut left = n;
        let mut counts: Vec<u64> = Vec::new();
        for noise in &mut self.selector {
            let count = noise.count(left);
            left -= count;
            counts.push(count);
        }
        counts.push(left);
        counts
    }

    fn certify(&mut self, spec: &CertifySpec, selected: &SelectedSpec) -> SelectedCertificate {
        let mut certifier = SelectedCertifier::new(spec, selected, GridLoss::NONE);
        loop {
            match certifier.next() {
                SelectedStep::Draw { source, n, .. } => {
                    certifier.observe(&self.counts(source, n)).unwrap();
                }
                SelectedStep::Done(certificate) => return *certificate,
            }
        }
    }

    /// The largest distance within which the theorem gives class 0 or 1, by the true
    /// probabilities.
    fn true_radius(&self, selected: &SelectedSpec, level: usize, class: u32) -> f64 {
        let keeps = |level| self.true_class_radius(selected, level, class);
        let others = (0..self.levels.len()).filter(|&other| other != level);
        others.fold(keeps(level), |least, other| {
            let term = match selected.form {
                SelectedForm::Simple => selected.tau.get() * quantile(self.levels[level]),
                SelectedForm::Strong => self.unreached(selected, level, other).max(keeps(other)),
            };
            least.min(term)
        })
    }

    fn true_class_radius(&self, selected: &SelectedSpec, level: usize, class: u32) -> f64 {
        let p = match class {
            0 => self.class[level],
            _ => 1.0 - self.class[level],
        };
        selected.levels[level].sigma.get() * quantile(p).max(0.0)
    }

    /// The distance within which the selector prefers `level` to `other`.
    fn unreached(&self, selected: &SelectedSpec, level: usize, other: usize) -> f64 {
        let apart = quantile(self.levels[level]) - quantile(self.levels[other]);
        0.5 * selected.tau.get() * apart
    }

    fn overclaims(&mut self, spec: &CertifySpec, selected: &SelectedSpec) -> bool {
        let found = self.certify(spec, selected);
        match found.certificate.outcome {
            Outcome::Abstained => false,
            Outcome::Certified { class, radius } => {
                let level = found.selection.level as usize;
                radius.get() > self.true_radius(selected, level, class.0)
            }
        }
    }
}

fn quantile(p: f64) -> f64 {
    stats::signed_quantile_lower(Probability::new(p).unwrap())
}

fn bound_at(count: u64, alpha: Alpha) -> f64 {
    stats::lower_bound(count, N, alpha).get()
}

/// The sigma at which a probability certifies `radius`.
fn sigma_for(radius: f64, p: f64) -> f64 {
    radius / quantile(p)
}

/// A form, its levels, and an input at the thresholds of all bounds that can fail.
struct SelectedCase {
    name: &'static str,
    selected: SelectedSpec,
    levels: Vec<f64>,
    class: Vec<f64>,
    /// The smallest true term, where a radius is to be decided.
    radius: f64,
}

/// The thresholds of the bounds under a stopping rule.
struct CaseThresholds {
    rule: Stopping,
}

impl CaseThresholds {
    fn below(&self, count: u64, part: Alpha) -> f64 {
        bound_at(count, self.rule.alpha_at_n(part)) - 1e-9
    }

    fn simple(&self) -> SelectedCase {
        let q = self.below(700, alpha(ALPHA));
        let radius = quantile(q);
        SelectedCase {
            name: "simple, the selector binds",
            selected: selected_spec(SelectedForm::Simple, &[5.0, 0.1]),
            levels: vec![q, 1.0 - q],
            class: vec![0.99, 0.1],
            radius,
        }
    }

    fn class_binds(&self) -> SelectedCase {
        let p = self.below(900, alpha(ALPHA));
        SelectedCase {
            name: "strong, the chosen level binds",
            selected: selected_spec(SelectedForm::Strong, &[0.5, 1.0]),
            levels: vec![0.9, 0.1],
            class: vec![p, 0.97],
            radius: 0.5 * quantile(p),
        }
    }

    fn strong(&self) -> SelectedCase {
        let half = alpha(ALPHA).part(0.5);
        let q = self.below(700, half);
        let radius = quantile(q);
        let p = self.below(900, half);
        SelectedCase {
            name: "strong, 2 levels",
            selected: selected_spec(SelectedForm::Strong, &[5.0, sigma_for(radius, p)]),
            levels: vec![q, 1.0 - q],
            class: vec![0.99, p],
            radius,
        }
    }

    fn three_levels(&self) -> SelectedCase {
        let quarter = alpha(ALPHA).part(0.25);
        let q = self.below(600, quarter);
        let others = self.below(850, quarter);
        let radius = 0.5 * (quantile(q) + quantile(others));
        let p = self.below(900, alpha(ALPHA).part(0.5));
        let sigmas = [5.0, sigma_for(radius, p), 5.0];
        SelectedCase {
            name: "strong, 3 levels",
            selected: selected_spec(SelectedForm::Strong, &sigmas),
            levels: vec![q, 1.0 - others, others - q],
            class: vec![0.99, p, 0.99],
            radius,
        }
    }

    fn cases(&self) -> Vec<SelectedCase> {
        vec![
            self.simple(),
            self.class_binds(),
            self.strong(),
            self.three_levels(),
        ]
    }
}

/// The number of false certificates of [`RUNS`] inputs.
fn wrong(case: &SelectedCase, spec: &CertifySpec, seed: u64) -> u64 {
    let mut input = KnownInput::new(&case.levels, &case.class, seed);
    let runs = 0..RUNS;
    runs.filter(|_| input.overclaims(spec, &case.selected))
        .count() as u64
}

fn check(rule: Stopping, of_case: impl Fn(&SelectedCase) -> CertifySpec, least: f64) {
    let name = rule.to_string();
    for (case, seed) in (CaseThresholds { rule }).cases().iter().zip(1..) {
        let wrong = wrong(case, &of_case(case), seed);
        let rate = wrong as f64 / RUNS as f64;
        println!("{name}: {}: {rate} of at most {ALPHA}", case.name);
        assert!(within(wrong, ALPHA), "{}: {rate}", case.name);
        // Otherwise the measurement could not find a rule that claims too much.
        assert!(rate > least * ALPHA, "{}: {rate}", case.name);
    }
}

#[test]
fn selected_levels_claim_too_much_no_more_often_than_alpha() {
    check(Stopping::Fixed, |_| certify_spec(Stopping::Fixed), 0.6);
}

#[test]
fn deciding_radii_of_selected_levels_keeps_the_error_rate() {
    let any = Stopping::Radii(Radii::new(&[0.0]).unwrap());
    let rule = |case: &SelectedCase| {
        let radii = [0.0, 0.5 * case.radius, case.radius, 1.5 * case.radius];
        certify_spec(Stopping::Radii(Radii::new(&radii).unwrap()))
    };
    check(any, rule, 0.2);
}

#[test]
fn a_pilot_at_each_bound_keeps_the_error_rate() {
    let rule = Stopping::Loss(0.2);
    check(rule.clone(), |_| certify_spec(rule.clone()), 0.2);
}

#[test]
fn all_of_alpha_for_the_selector_and_for_another_level_is_detected() {
    let whole = alpha(ALPHA);
    let q = bound_at(700, whole) - 1e-9;
    let p = bound_at(900, whole) - 1e-9;
    let mut input = KnownInput::new(&[q, 1.0 - q], &[0.99, p], 7);
    let is_false = |_: &u64| {
        let selected = input.counts(DrawSource::Selector, N)[0] >= 700;
        let class = input.counts(DrawSource::Expert(1), N)[0] >= 900;
        selected || class
    };
    let wrong = (0..RUNS).filter(is_false).count() as u64;
    println!("alpha twice: {}", wrong as f64 / RUNS as f64);
    assert!(!within(wrong, ALPHA), "{wrong}");
}
