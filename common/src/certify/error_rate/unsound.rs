//! Looking at the draws more than once: what the rules do not do, and the sequence alone.

use super::*;

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
