//! Measures the rate of false certificates under each stopping rule, and shows that the measurement
//! detects unsound rules.
//!
//! The probability of the guess is put where a rule is most likely to fail: where the threshold of
//! a radius is, at a value that the bound after `n` draws can take, or just below.
#![allow(clippy::unwrap_used)]

mod both_classes;
mod savings;
mod unsound;

use std::collections::HashMap;
use std::num::NonZeroU64;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::domain::{Alpha, Radii, Radius};

pub(super) const RUNS: u64 = 40_000;
const PIECE: u64 = 100;

/// Draws of a class of known probability, counted by the chunk.
pub(super) struct Noise {
    random: Xoshiro256PlusPlus,
    p: f64,
    /// The distribution function of each length of chunk that was asked for.
    tables: Vec<(u64, Vec<f64>)>,
}

impl Noise {
    pub(super) fn new(p: f64, seed: u64) -> Self {
        Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            p,
            tables: Vec::new(),
        }
    }

    /// In pieces so small that (1 - p)^n is not yet 0.
    pub(super) fn count(&mut self, n: u64) -> u64 {
        (0..n.div_ceil(PIECE))
            .map(|piece| self.piece(PIECE.min(n - piece * PIECE)))
            .sum()
    }

    fn piece(&mut self, n: u64) -> u64 {
        let place = self
            .tables
            .iter()
            .position(|&(known, _)| known == n)
            .unwrap_or_else(|| {
                self.tables.push((n, cumulative(n, self.p)));
                self.tables.len() - 1
            });
        let at: f64 = self.random.random();
        self.tables[place].1.partition_point(|&below| below <= at) as u64
    }
}

/// P(Bin(n, p) <= k) for k = 0 ... n - 1.
fn cumulative(n: u64, p: f64) -> Vec<f64> {
    let mut mass = (n as f64 * (-p).ln_1p()).exp();
    let mut sum = 0.0;
    let mut table = Vec::new();
    for k in 0..n {
        sum += mass;
        mass *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
        table.push(sum);
    }
    table
}

#[derive(Clone, Copy)]
struct RateCase {
    n: u64,
    chunk: u64,
    alpha: f64,
    /// The count of `n` draws whose bound is the threshold.
    count: u64,
    /// The distance of the class's probability below the threshold.
    below: f64,
}

const CASES: [RateCase; 6] = [
    RateCase {
        n: 1000,
        chunk: 100,
        alpha: 0.05,
        count: 520,
        below: 1e-9,
    },
    RateCase {
        n: 1000,
        chunk: 100,
        alpha: 0.05,
        count: 900,
        below: 1e-9,
    },
    RateCase {
        n: 1000,
        chunk: 100,
        alpha: 0.05,
        count: 900,
        below: 0.002,
    },
    RateCase {
        n: 730,
        chunk: 100,
        alpha: 0.05,
        count: 715,
        below: 1e-9,
    },
    RateCase {
        n: 2000,
        chunk: 200,
        alpha: 0.01,
        count: 1700,
        below: 1e-9,
    },
    RateCase {
        n: 90,
        chunk: 200,
        alpha: 0.05,
        count: 80,
        below: 0.0,
    },
];

impl RateCase {
    fn spec(self, stopping: Stopping) -> CertifySpec {
        let positive = |n| NonZeroU64::new(n).unwrap();
        let alpha = Alpha::new(self.alpha).unwrap();
        CertifySpec {
            n0: positive(20),
            n: positive(self.n),
            alpha,
            chunk: positive(self.chunk),
            memory: false,
            stopping,
            bound: BoundRule::OneClass,
        }
    }

    /// The probability that a bound at this level would have to be above to be false.
    fn threshold(self, alpha: Alpha) -> f64 {
        stats::lower_bound(self.count, self.n, alpha).get()
    }

    /// The rule with three radii, the middle one at the threshold; and the threshold.
    fn radii(self) -> (CertifySpec, f64) {
        let any = Stopping::Radii(Radii::new(&[0.0]).unwrap());
        let threshold = self.threshold(any.alpha_at_n(Alpha::new(self.alpha).unwrap()));
        let at = |p: f64| stats::radius(sigma(), Probability::new(p).unwrap()).get();
        let mut radii = vec![0.0, at(threshold), at(0.5 + threshold / 2.0)];
        // A threshold of at most one half has the radius 0.
        radii.dedup();
        let radii = Radii::new(&radii).unwrap();
        (self.spec(Stopping::Radii(radii)), threshold)
    }
}

fn sigma() -> Sigma {
    Sigma::new(0.5).unwrap()
}

/// Certifies one sample, and returns true if the bound is above the true probability of its guess.
fn overclaims(spec: &CertifySpec, noise: &mut Noise) -> bool {
    let mut certifier = Certifier::new(spec, sigma(), GridLoss::NONE);
    let mut truth = noise.p;
    loop {
        match certifier.next() {
            CertifierStep::Draw { phase, n, .. } => {
                let count = noise.count(n);
                if phase == Phase::Select && count < n - count {
                    truth = 1.0 - noise.p;
                }
                certifier.observe(&[count, n - count]).unwrap();
            }
            CertifierStep::Done(certificate) => return certificate.p_lower.get() > truth,
        }
    }
}

/// Returns true if a rate of at most `alpha` gives this number with a probability of 1e-5 or more.
pub(super) fn within(wrong: u64, alpha: f64) -> bool {
    stats::lower_bound(wrong, RUNS, Alpha::new(1e-5).unwrap()).get() <= alpha
}

#[test]
fn deciding_radii_claims_too_much_no_more_often_than_alpha() {
    for (seed, case) in CASES.into_iter().enumerate() {
        let (spec, threshold) = case.radii();
        let mut noise = Noise::new(threshold - case.below, seed as u64);
        let wrong = (0..RUNS).filter(|_| overclaims(&spec, &mut noise)).count() as u64;
        let rate = wrong as f64 / RUNS as f64;
        println!(
            "radii: n {} p {threshold:.4} - {} alpha {}: {rate}",
            case.n, case.below, case.alpha
        );
        assert!(
            within(wrong, case.alpha),
            "n {} count {}: {rate}",
            case.n,
            case.count
        );
        // The bound after n alone has four fifths of alpha, all of which this probability uses up.
        let used_up = case.below == 1e-9;
        assert!(
            !used_up || rate > 0.6 * case.alpha,
            "n {} count {}: {rate}",
            case.n,
            case.count
        );
    }
}

#[test]
fn a_pilot_leaves_the_error_rate_as_it_is() {
    for (seed, case) in CASES.into_iter().enumerate() {
        let spec = case.spec(Stopping::Loss(0.05));
        let p = case.threshold(spec.alpha) - case.below;
        // The machine asks for as many; here once for each outcome of the selection, for speed.
        let draws: Vec<u64> = (0..=20)
            .map(|selected| pilot::draws(&spec, 0.05, selected))
            .collect();
        let mut noise = Noise::new(p, 100 + seed as u64);
        let wrong = |_: &u64| {
            let selected = noise.count(20);
            let (guessed, truth) = if selected >= 10 {
                (selected, p)
            } else {
                (20 - selected, 1.0 - p)
            };
            let n = draws[guessed as usize];
            let count = if selected >= 10 {
                noise.count(n)
            } else {
                n - noise.count(n)
            };
            bound(&spec, count, n).unwrap().get() > truth
        };
        let wrong = (0..RUNS).filter(wrong).count() as u64;
        let rate = wrong as f64 / RUNS as f64;
        println!("loss: n {} p {p:.4} alpha {}: {rate}", case.n, case.alpha);
        assert!(within(wrong, case.alpha), "n {} p {p}: {rate}", case.n);
    }
}
