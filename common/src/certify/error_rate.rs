//! Measures the rate of false certificates under each stopping rule, and shows that the measurement
//! detects unsound rules.
//!
//! The probability of the guess is put where a rule is most likely to fail: where the threshold of
//! a radius is, at a value that the bound after `n` draws can take, or just below.
#![allow(clippy::unwrap_used)]

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

/// Draws of several classes of known probabilities.
struct ClassNoise {
    p: Vec<f64>,
    /// For each class, draws of it among those that gave no earlier class.
    given_earlier: Vec<Noise>,
}

impl ClassNoise {
    fn new(p: &[f64], seed: u64) -> Self {
        let mut left = 1.0;
        let mut given_earlier = Vec::new();
        for (&p, seed) in p[..p.len() - 1].iter().zip(100 * seed..) {
            given_earlier.push(Noise::new((p / left).min(1.0), seed));
            left -= p;
        }
        Self {
            p: p.to_vec(),
            given_earlier,
        }
    }

    fn counts(&mut self, n: u64) -> Vec<u64> {
        let mut left = n;
        let mut counts: Vec<u64> = Vec::new();
        for noise in &mut self.given_earlier {
            let count = noise.count(left);
            left -= count;
            counts.push(count);
        }
        counts.push(left);
        counts
    }

    /// The largest probability of a class other than the guess.
    fn largest_other(&self, guess: usize) -> f64 {
        let others = self
            .p
            .iter()
            .enumerate()
            .filter(|&(class, _)| class != guess);
        others.map(|(_, &p)| p).fold(0.0, f64::max)
    }

    /// The radius per sigma within which the guess stays the most probable class.
    fn true_radius(&self, guess: usize) -> f64 {
        0.5 * (quantile(self.p[guess]) - quantile(self.largest_other(guess)))
    }
}

/// The quantile of a probability between 0 and 1.
fn quantile(p: f64) -> f64 {
    let above_half = |p: f64| stats::quantile_lower(Probability::new(p).unwrap());
    if p >= 0.5 {
        above_half(p)
    } else {
        -above_half(1.0 - p)
    }
}

/// The guesses, bounds and certificates of two classes that are false.
#[derive(Debug, Default)]
struct FalseClaims {
    bounds: u64,
    certificates: u64,
    /// The samples for which two classes were chosen.
    chosen: u64,
}

/// Certifies [`RUNS`] samples by the bound of two classes with `alpha`, whatever part of it the
/// rule may use, or by that of one class where the selection draws choose it.
fn claims_of_two_classes(spec: &CertifySpec, mut noise: ClassNoise) -> FalseClaims {
    let sample = SampleBounds {
        spec,
        sigma: Sigma::new(1.0).unwrap(),
        loss: GridLoss::NONE,
    };
    let mut known = HashMap::new();
    let mut chosen = HashMap::new();
    let mut claims = FalseClaims::default();
    for _ in 0..RUNS {
        let selected = noise.counts(spec.n0.get());
        let guess = most_frequent(&selected);
        let other = runner_up(guess, &selected).unwrap();
        let class = guess.0 as usize;
        let rule = *chosen
            .entry((selected[class], other.count))
            .or_insert_with(|| {
                let counts = SelectionCounts {
                    guess: selected[class],
                    runner_up: other.count,
                };
                two_class::choose(spec, counts)
            });
        let counts = noise.counts(spec.n.get());
        let drawn = EstimationCounts {
            n: spec.n.get(),
            count: counts[class],
            runner_up: counts[other.class.0 as usize],
        };
        let key = (rule == BoundRule::TwoClass, drawn.count, drawn.runner_up);
        let bounds = *known
            .entry(key)
            .or_insert_with(|| sample.of(rule, drawn).unwrap());
        let p_upper = bounds.p_upper.map_or(1.0, Probability::get);
        claims.chosen += u64::from(rule == BoundRule::TwoClass);
        claims.bounds += u64::from(
            bounds.p_lower.get() > noise.p[class] || p_upper < noise.largest_other(class),
        );
        claims.certificates += u64::from(
            sample
                .radius(bounds)
                .is_some_and(|radius| radius.get() > noise.true_radius(class)),
        );
    }
    claims
}

/// Probabilities of four classes of which the first two lie just outside values that their bounds
/// can take at a third of `alpha`.
fn at_thresholds(n: u64, alpha: f64, [count, other]: [u64; 2]) -> Vec<f64> {
    let third = BoundRule::alpha_per_class(Alpha::new(alpha).unwrap());
    let first = stats::lower_bound(count, n, third).get() - 1e-9;
    let second = stats::upper_bound(other, n, third).get() + 1e-9;
    let rest = 1.0 - first - second;
    assert!(0.0 < rest && rest < second, "{first} {second}");
    vec![first, second, 0.7 * rest, 0.3 * rest]
}

#[test]
fn two_classes_claim_too_much_no_more_often_than_alpha() {
    for (seed, (n, alpha, counts)) in [
        (1_000, 0.05, [520, 230]),
        (1_000, 0.05, [440, 310]),
        (1_000, 0.05, [820, 100]),
        (2_000, 0.01, [1_500, 300]),
        (90, 0.05, [60, 14]),
    ]
    .into_iter()
    .enumerate()
    {
        let case = RateCase {
            n,
            chunk: 100,
            alpha,
            count: 0,
            below: 0.0,
        };
        let spec = CertifySpec {
            bound: BoundRule::TwoClass,
            ..case.spec(Stopping::Fixed)
        };
        let p = at_thresholds(n, alpha, counts);
        let claims = claims_of_two_classes(&spec, ClassNoise::new(&p, 200 + seed as u64));
        let rate = |wrong: u64| wrong as f64 / RUNS as f64;
        println!(
            "two classes: n {n} p {:.3} {:.3} alpha {alpha}: bounds {}, certificates {}, chosen {}",
            p[0],
            p[1],
            rate(claims.bounds),
            rate(claims.certificates),
            rate(claims.chosen)
        );
        assert!(within(claims.bounds, alpha), "n {n} {counts:?}: {claims:?}");
        assert!(claims.certificates <= claims.bounds, "{claims:?}");
        // The measurement would find a bound that is false too often.
        assert!(rate(claims.bounds) > 0.3 * alpha, "{claims:?}");
    }
}

#[test]
fn spending_all_of_alpha_on_each_class_is_detected() {
    let alpha = Alpha::new(0.05).unwrap();
    let n = 1_000;
    let p_lower = |count| stats::lower_bound(count, n, alpha).get();
    let p_upper = |count| stats::upper_bound(count, n, alpha).get();
    let p = [p_lower(520) - 1e-9, p_upper(230) + 1e-9, 0.0];
    let p = [p[0], p[1], 1.0 - p[0] - p[1]];
    let mut noise = ClassNoise::new(&p, 300);
    let is_false = |counts: &[u64]| counts[0] >= 520 || counts[1] <= 230;
    let wrong = (0..RUNS).filter(|_| is_false(&noise.counts(n))).count() as u64;
    println!("alpha for each class: {}", wrong as f64 / RUNS as f64);
    assert!(!within(wrong, 0.05), "{wrong}");
}

/// The number of [`RUNS`] samples that a rule would certify at a threshold just above their
/// probability: `bound` of the count and the draws so far at the end of some chunk, or `last` at
/// the end.
fn found_wrong(
    case: RateCase,
    threshold: f64,
    bound: impl Fn(u64, u64) -> Probability,
    last: impl Fn(u64, u64) -> Probability,
) -> u64 {
    let mut noise = Noise::new(threshold - 1e-9, 7);
    let looks: Vec<u64> = (1..=case.n.div_ceil(case.chunk))
        .map(|look| case.n.min(look * case.chunk))
        .collect();
    let mut enough: Vec<u64> = looks
        .iter()
        .map(|&drawn| least_count(threshold, drawn, &bound))
        .collect();
    let at_end = enough.last_mut().unwrap();
    *at_end = least_count(threshold, case.n, &last).min(*at_end);
    (0..RUNS)
        .filter(|_| is_certified(&mut noise, &looks, &enough))
        .count() as u64
}

/// The least count of `drawn` whose bound reaches the threshold. Bounds grow with the count.
fn least_count(threshold: f64, drawn: u64, bound: impl Fn(u64, u64) -> Probability) -> u64 {
    let counts: Vec<u64> = (0..=drawn).collect();
    counts.partition_point(|&count| bound(count, drawn).get() < threshold) as u64
}

/// Draws one sample, and returns true if its count is enough at some look.
fn is_certified(noise: &mut Noise, looks: &[u64], enough: &[u64]) -> bool {
    let mut count = 0;
    let mut drawn = 0;
    looks.iter().zip(enough).any(|(&look, &enough)| {
        count += noise.count(look - drawn);
        drawn = look;
        count >= enough
    })
}

#[test]
fn looking_repeatedly_with_a_bound_for_one_look_is_detected() {
    let case = CASES[1];
    let alpha = Alpha::new(case.alpha).unwrap();
    let bound = |count, n| stats::lower_bound(count, n, alpha);
    let wrong = found_wrong(case, case.threshold(alpha), bound, bound);
    println!("naive: alpha {alpha}: {}", wrong as f64 / RUNS as f64);
    assert!(wrong > RUNS / 10 && !within(wrong, case.alpha), "{wrong}");
}

#[test]
fn spending_all_of_alpha_twice_is_detected() {
    let case = RateCase {
        n: 10_000,
        chunk: 10,
        alpha: 0.05,
        count: 6_000,
        below: 0.0,
    };
    let alpha = Alpha::new(case.alpha).unwrap();
    let sequence = |k, n| stats::sequence_bound(k, n, alpha);
    let last = |k, n| stats::lower_bound(k, n, alpha);
    let wrong = found_wrong(case, case.threshold(alpha), sequence, last);
    println!("alpha twice: alpha {alpha}: {}", wrong as f64 / RUNS as f64);
    assert!(!within(wrong, case.alpha), "{wrong}");
}

#[test]
fn the_sequence_alone_holds_at_all_looks_together() {
    for (p, n, chunk, alpha) in [
        (0.6, 2000, 1, 0.05),
        (0.9, 2000, 20, 0.05),
        (0.99, 2000, 20, 0.01),
    ] {
        let case = RateCase {
            n,
            chunk,
            alpha,
            count: 0,
            below: 0.0,
        };
        let bound = |k, n| stats::sequence_bound(k, n, Alpha::new(alpha).unwrap());
        let wrong = found_wrong(case, p, bound, bound);
        println!(
            "sequence: n {n} p {p} alpha {alpha}: {}",
            wrong as f64 / RUNS as f64
        );
        assert!(within(wrong, alpha) && wrong > 0, "p {p}: {wrong}");
    }
}

/// A probability whose radius would be `radius` if it were known; below one half where that is
/// negative.
fn probability(radius: f64) -> f64 {
    let p = stats::probability_at(sigma(), Radius::new(radius.abs()).unwrap()).get();
    if radius < 0.0 { 1.0 - p } else { p }
}

#[test]
fn deciding_a_grid_takes_a_third_of_the_draws_and_decides_as_all_of_them_do() {
    const SAMPLES: u32 = 2000;
    let grid: Radii = "0:5:0.25".parse().unwrap();
    let case = RateCase {
        n: 100_000,
        chunk: 500,
        alpha: 0.001,
        count: 0,
        below: 0.0,
    };
    let (fixed, early) = (
        case.spec(Stopping::Fixed),
        case.spec(Stopping::Radii(grid.clone())),
    );
    let certified = |p_lower: Probability| {
        let radius = stats::radius(sigma(), p_lower);
        if p_lower.get() > 0.5 {
            grid.iter().filter(|&at| at <= radius).count()
        } else {
            0
        }
    };
    let (mut drawn, mut equal) = (0, 0);
    for i in 0..SAMPLES {
        // Radii spread evenly, thresholds included, up to the largest that the draws can certify.
        let mut noise = Noise::new(
            probability(-0.5 + 2.4 * f64::from(i) / f64::from(SAMPLES)),
            u64::from(i),
        );
        let mut certifier = Certifier::new(&early, sigma(), GridLoss::NONE);
        certifier.observe(&[20, 0]).unwrap();
        let mut all = 0;
        let certificate = loop {
            match certifier.next() {
                CertifierStep::Draw { n, .. } => {
                    let count = noise.count(n);
                    all += count;
                    certifier.observe(&[count, n - count]).unwrap();
                }
                CertifierStep::Done(certificate) => break certificate,
            }
        };
        all += noise.count(case.n - certificate.n);
        drawn += certificate.n;
        equal += u32::from(
            certified(certificate.p_lower) == certified(bound(&fixed, all, case.n).unwrap()),
        );
    }
    let (share, equal) = (
        drawn as f64 / f64::from(SAMPLES) / case.n as f64,
        f64::from(equal) / f64::from(SAMPLES),
    );
    println!("a 0.25 grid: {share} of the draws, {equal} of the decisions");
    assert!(share <= 0.35 && equal >= 0.998, "{share} {equal}");
}

#[test]
fn what_all_draws_would_reach_is_hardly_ever_given_up() {
    // 900 of 1000 draws count in the end, in random order: the worst case for a goal of 900.
    let beta = Alpha::new(0.01).unwrap();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(11);
    let given_up = |_: &u64| {
        let mut left = 900;
        (0..1000).any(|drawn| {
            left -= u64::from(random.random_range(0..1000 - drawn) < left);
            stats::out_of_reach(900 - left, drawn + 1, 900, 1000, beta)
        })
    };
    let wrong = (0..RUNS / 10).filter(given_up).count() as u64;
    println!(
        "given up wrongly at {beta}: {}",
        wrong as f64 / (RUNS / 10) as f64
    );
    let rate = stats::lower_bound(wrong, RUNS / 10, Alpha::new(1e-5).unwrap()).get();
    assert!(wrong > 0 && rate <= beta.get(), "{wrong}");
}
