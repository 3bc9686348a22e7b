//! The search for sigma, by its own measure.

use std::sync::atomic::AtomicBool;

use super::engine;
use super::fixture::Fixture;
use crate::engine::certify::{Input, Task};

const SETTINGS: &str = "[smoothing]\nsigma = [0.25]\nchoice = [\"data-dependent\"]\n\
                        [smoothing.data-dependent]\nmethod = \"search\"\nrounds = 4\ndraws = 64\nrange = [0.05, 1.5]\n\
                        [certify]\nn0 = 10\nn = 100\nalpha = 0.01\nchunk = 50\n";

/// The radius estimated at the sigma that each of five inputs chose, and the largest of 60 sigmas spread over the range.
fn chosen_and_largest(fixture: &Fixture) -> Vec<(f64, f64)> {
    let engine = engine(2);
    let network = engine.load(&fixture.sweep.models[0], fixture.shape).unwrap();
    let (variant, stop) = (&fixture.sweep.variants()[0], AtomicBool::new(false));
    let task = Task { engine: &engine, network: &network, sweep: &fixture.sweep, variant, stop: &stop };
    let spread: Vec<f64> = (0..60).map(|step| 0.05 * 30f64.powf(f64::from(step) / 59.0)).collect();
    (0..5)
        .map(|number| {
            let sample = fixture.sample(number);
            let input = Input { index: sample.index, position: number, pixels: sample.image.pixels };
            let chosen = task.search(&input, 4, 5).ok().unwrap().unwrap();
            assert!((0.05..=1.5).contains(&chosen), "{chosen}");
            assert_eq!(task.search(&input, 4, 5).ok().unwrap(), Some(chosen), "asked again");
            let radii = |sigmas: &[f64]| task.radii(&input, sigmas).ok().unwrap().unwrap();
            (radii(&[chosen])[0], radii(&spread).into_iter().fold(f64::MIN, f64::max))
        })
        .collect()
}

#[test]
fn the_sigma_chosen_has_nearly_the_largest_radius_that_any_has() {
    let fixture = Fixture::half_space(&[6.0, -3.0, 2.0, 1.0], -1.0, SETTINGS);
    for (chosen, largest) in chosen_and_largest(&fixture) {
        assert!(chosen > 0.0 && chosen >= 0.9 * largest, "{chosen} where {largest} can be had");
    }
}

#[test]
fn a_search_certifies_at_the_sigma_it_chose() {
    let fixture = Fixture::half_space(&[6.0, -3.0, 2.0, 1.0], -1.0, SETTINGS);
    let found = fixture.certified(&engine(2), (0..5).map(|index| fixture.sample(index)).collect());
    assert!(found.values().all(|record| (0.05..=1.5).contains(&record.sigma.get()) && record.sigma0.get() == 0.25));
    assert!(found.values().any(|record| record.sigma.get() != 0.25), "{found:?}");
}
