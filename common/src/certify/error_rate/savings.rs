//! The draws that stopping early saves, and the decisions that it costs.

use super::*;

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
