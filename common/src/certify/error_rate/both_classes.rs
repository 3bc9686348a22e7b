//! The bound of two classes.

use super::*;

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
