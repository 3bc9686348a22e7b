//! The guarantees of certificates, tested on a model whose smoothed radius is known.

use ddrs_common::data::Image;
use ddrs_common::domain::{Certification, Class, Outcome, SampleIndex};

use super::engine;
use super::fixture::ModelFixture;
use crate::engine::Sample;

/// Weights of length 1, so that w·x + b is the signed distance.
const WEIGHT: [f32; 6] = [0.5, -0.5, 0.5, 0.1, -0.1, 0.479_583_15];

/// Certifies an input at about a distance from the plane, on the side of class 1, once per index.
/// Each index has different noise. Returns the exact distance, too: the input is on the grid.
fn repeat(distance: f64, settings: &str, repetitions: u64) -> (f64, Vec<Certification>) {
    let fixture = ModelFixture::half_space(&WEIGHT, 0.0, settings);
    let norm: f64 = WEIGHT.iter().map(|&w| f64::from(w).powi(2)).sum();
    assert!((norm - 1.0).abs() < 1e-6);
    let pixels: Vec<f32> = WEIGHT
        .iter()
        .map(|&w| (f64::from(w) * distance * 255.0).round() as f32 / 255.0)
        .collect();
    let products = pixels.iter().zip(WEIGHT);
    let distance = products.map(|(&x, w)| f64::from(x) * f64::from(w)).sum();
    let image = Image {
        shape: fixture.shape,
        pixels,
    };
    let samples = (0..repetitions)
        .map(|index| Sample {
            index: SampleIndex(index),
            position: index,
            image: image.clone(),
        })
        .collect();
    let found = fixture.certified(&engine(2), samples);
    (distance, found.into_values().collect())
}

fn settings(n0: u64, n: u64, alpha: f64) -> String {
    format!(
        "[smoothing]\nsigma = [0.5]\n[certify]\nn0 = {n0}\nn = {n}\nalpha = {alpha}\nchunk = 500\n"
    )
}

#[test]
fn certificates_fail_no_more_often_than_alpha() {
    for distance in [0.1, 0.4, 0.8] {
        let (distance, records) = repeat(distance, &settings(10, 300, 0.05), 2000);
        let wrong = |record: &&Certification| match record.outcome {
            Outcome::Certified { class, radius } => {
                class != Class(1) || radius.get() > distance * (1.0 + 1e-6)
            }
            Outcome::Abstained => false,
        };
        let failures = records.iter().filter(wrong).count();
        // P(Bin(2000, 0.05) > 150) < 1e-6, so more failures would not be chance.
        assert!(
            failures <= 150,
            "{failures} of 2000 certificates at distance {distance} are wrong"
        );
        // The bound is nearly tight, so some must fail. If all held, certificates would claim too
        // little.
        assert!(
            failures >= 20,
            "{failures} of 2000 certificates at distance {distance} are wrong"
        );
        assert!(
            records
                .iter()
                .all(|record| record.n == 300 && record.n0 == 10 && record.count <= 300)
        );
    }
}

#[test]
fn many_draws_come_within_two_percent_of_the_true_radius() {
    let (distance, records) = repeat(0.75, &settings(100, 100_000, 0.001), 10);
    let radius = |record: &Certification| match record.outcome {
        Outcome::Certified {
            class: Class(1),
            radius,
        } => radius.get(),
        _ => panic!("not certified: {record:?}"),
    };
    let radii: Vec<f64> = records.iter().map(radius).collect();
    assert!(
        radii
            .iter()
            .all(|radius| (0.97 * distance..=distance).contains(radius)),
        "{radii:?}"
    );
    // On average, three standard errors of confidence are 1.3%, and counts vary by 0.4%.
    assert!(
        radii.iter().sum::<f64>() / 10.0 >= 0.98 * distance,
        "{radii:?}"
    );
}

#[test]
fn on_the_plane_there_is_nothing_to_certify() {
    for record in repeat(0.0, &settings(100, 2000, 0.001), 20).1 {
        assert_eq!(record.outcome, Outcome::Abstained, "{record:?}");
        assert!((800..1200).contains(&record.count));
    }
}
