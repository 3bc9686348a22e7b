#![allow(clippy::unwrap_used)]
use serde_json::Value;

use super::normal_tail::upper_tail;
use super::*;
use crate::domain::{Probability, Radius};
use crate::golden;

fn sigma(value: f64) -> Sigma {
    Sigma::new(value).unwrap()
}

fn grid(values: u32) -> Grid {
    Grid::new(values).unwrap()
}

fn whole(value: &Value) -> u128 {
    value.as_str().unwrap().parse().unwrap()
}

fn rows(key: &str) -> Vec<Value> {
    let found = golden::json("grid_noise.json")[key]
        .as_array()
        .unwrap()
        .clone();
    assert!(!found.is_empty());
    found
}

#[test]
fn the_normal_tail_is_exact_to_70_bits() {
    for row in rows("tails") {
        let found = upper_tail(whole(&row["z"]));
        let error = found.abs_diff(whole(&row["tail"]));
        assert!(error < 1 << 50, "{row}: off by {error}");
    }
}

#[test]
fn the_normal_tail_continues_from_one_node_to_the_next() {
    // Halfway between two nodes the polynomials of both are at the ends of their ranges.
    for halfway in (0..150u128).map(|node| (node << 64) + (1 << 63)) {
        let step = upper_tail(halfway - 1).abs_diff(upper_tail(halfway));
        assert!(step < 1 << 52, "{halfway}: a step of {step}");
    }
}

/// Checks thresholds against 2^80 Phi.
fn check_thresholds(row: &Value) {
    let found = thresholds(
        sigma(row["sigma"].as_f64().unwrap()),
        grid(row["grid"].as_u64().unwrap() as u32),
    )
    .unwrap();
    assert_eq!(u64::from(found.reach()), row["reach"].as_u64().unwrap());
    for pair in row["phi"].as_array().unwrap() {
        let k = pair[0].as_i64().unwrap();
        let place = (k + i64::from(found.reach())) as usize;
        let threshold = u128::from(found.ascending()[place]) << 16;
        let allowed = (1 << 16) + (1 << 11);
        let error = threshold.abs_diff(whole(&pair[1]));
        assert!(error <= allowed, "{row} at {k}: off by {error} of 2^-80");
    }
}

#[test]
fn thresholds_are_within_their_stated_error_of_exact_ones() {
    for row in rows("thresholds") {
        check_thresholds(&row);
    }
}

#[test]
fn thresholds_ascend_and_are_symmetric() {
    for (value, values) in [
        (1e-6, 1),
        (0.004, 255),
        (0.37, 255),
        (2.0, 255),
        (0.85, 4096),
    ] {
        let found = thresholds(sigma(value), grid(values)).unwrap();
        let ascending = found.ascending();
        assert!(ascending.is_sorted(), "{value} on {values}");
        for (low, high) in ascending.iter().zip(ascending.iter().rev()) {
            let sum = u128::from(*low) + u128::from(*high);
            assert!(
                (1u128 << 64) - sum <= 1,
                "{value} on {values}: {low} {high}"
            );
        }
    }
}

#[test]
fn noise_of_almost_no_sigma_is_0() {
    let found = thresholds(sigma(1e-300), grid(1)).unwrap();
    assert_eq!(found.ascending(), [0, u64::MAX]);
}

#[test]
fn noise_that_is_too_wide_for_the_grid_is_refused() {
    let error = thresholds(sigma(14.0), Grid::BYTES).unwrap_err();
    assert_eq!(
        error.to_string(),
        "sigma 14 times the 255 grid values per unit must be at most 3500"
    );
    assert_eq!(Grid::finest_for(sigma(0.5)), grid(4096));
    assert_eq!(Grid::finest_for(sigma(4.0)), grid(512));
    assert_eq!(Grid::finest_for(sigma(1e-9)), grid(32768));
}

#[test]
fn the_variation_bounds_what_thresholds_can_differ() {
    let loss = GridLoss::new(Grid::BYTES, [3, 32, 32]);
    // 3072 values with 2 * 1186 thresholds, each within 2^-64 (1 + 2^-5), and two tails.
    let exact = 3072.0 * (2372.0 * (1.0 + 1.0 / 32.0) / 2f64.powi(64) + 2.0 * 7.0223e-21);
    let found = loss.variation(sigma(0.5));
    assert!(
        exact <= found && found < exact * 1.001,
        "{found:e} {exact:e}"
    );
    assert_eq!(GridLoss::NONE.variation(sigma(0.5)), 0.0);
}

#[test]
fn bounds_move_outward_and_stay_probabilities() {
    let loss = GridLoss::new(Grid::BYTES, [3, 224, 224]);
    let probability = |value| Probability::new(value).unwrap();
    let tv = loss.variation(sigma(1.0));
    let lower = loss.lower(sigma(1.0), probability(0.75)).get();
    let upper = loss.upper(sigma(1.0), probability(0.75)).get();
    assert!(lower <= 0.75 - tv && lower > 0.75 - tv - 1e-15);
    assert!(upper >= 0.75 + tv && upper < 0.75 + tv + 1e-15);
    assert_eq!(loss.lower(sigma(1.0), probability(0.0)).get(), 0.0);
    assert_eq!(loss.upper(sigma(1.0), probability(1.0)).get(), 1.0);
    assert_eq!(
        GridLoss::NONE.lower(sigma(1.0), probability(0.7)).get(),
        0.7
    );
}

#[test]
fn a_radius_is_smaller_by_the_distance_to_the_grid_or_there_is_none() {
    let radius = |value| Radius::new(value).unwrap();
    let loss = GridLoss::new(Grid::BYTES, [1, 1, 1]);
    assert_eq!(loss.radius(radius(0.0)), Some(radius(0.0)));
    let off = loss.at_distance(radius(0.25));
    let found = off.radius(radius(0.75)).unwrap().get();
    assert!(found < 0.5 && found > 0.499_999_999);
    assert_eq!(off.radius(radius(0.25)), None);
    let half = Probability::new(0.5).unwrap();
    assert_eq!(loss.certified_radius(sigma(1.0), half), None);
}

#[test]
fn images_of_bytes_are_on_the_grid_of_255() {
    let values: Vec<f32> = (0..=255u8).map(|byte| f32::from(byte) / 255.0).collect();
    let image = GridImage::new(Grid::BYTES, &values).unwrap();
    assert_eq!(image.off_grid, Radius::ZERO);
    assert!(image.steps.iter().copied().eq(0..=255));
}

#[test]
fn the_distance_of_an_image_off_the_grid_is_rounded_up() {
    let image = GridImage::new(grid(4), &[0.25, 0.3, 0.95, 1.0]).unwrap();
    assert_eq!(image.steps, [1, 1, 4, 4]);
    let exact = (f64::from(0.3f32) - 0.25).hypot(f64::from(0.95f32) - 1.0);
    let found = image.off_grid.get();
    assert!(
        found > exact && found < exact * 1.000_001,
        "{found} {exact}"
    );
    // A neighbour in single precision is off the grid, by little.
    let next = GridImage::new(Grid::BYTES, &[(77.0f32 / 255.0).next_up()]).unwrap();
    assert!(next.off_grid.get() > 0.0 && next.off_grid.get() < 1e-7);
}

#[test]
fn the_centre_of_a_certificate_is_exact_in_steps() {
    // 77/255 in single precision is not 77 steps, but it counts as on the grid.
    let on_grid = 77.0f32 / 255.0;
    assert_ne!(f64::from(on_grid) * 255.0, 77.0);
    let off_grid = on_grid.next_up();
    let centre = GridImage::centre(Grid::BYTES, &[on_grid, off_grid, -1.0]).unwrap();
    assert_eq!(centre, [77.0, f64::from(off_grid) * 255.0, -255.0]);
    assert!(GridImage::centre(Grid::BYTES, &[f32::NAN]).is_err());
}

#[test]
fn values_that_no_grid_holds_are_refused() {
    for value in [f32::NAN, f32::INFINITY, 40_000.0, -3e38] {
        let error = GridImage::new(Grid::BYTES, &[0.0, value]).unwrap_err();
        assert!(
            error.to_string().contains(&format!("the value {value}")),
            "{error}"
        );
    }
    let image = GridImage::new(Grid::BYTES, &[-1.0, 9.0]).unwrap();
    assert_eq!(image.steps, [-255, 2295]);
}
