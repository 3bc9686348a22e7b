#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::bail;
use ddrs_common::data::Image;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

type Vector = Vec<f64>;

fn certified(class: u32, radius: f64) -> Outcome {
    Outcome::Certified {
        class: Class(class),
        radius: Radius::new(radius).unwrap(),
    }
}

fn parts(outcome: &Outcome) -> Option<(u32, f64)> {
    match outcome {
        Outcome::Certified { class, radius } => Some((class.0, radius.get())),
        Outcome::Abstained => None,
    }
}

fn resolve_vectors(outcomes: &[Outcome], points: &[Vector]) -> Vec<Outcome> {
    resolve(outcomes, |place| Ok(Point::from(points[place].as_slice()))).unwrap()
}

fn distance(one: &[f64], other: &[f64]) -> f64 {
    one.iter()
        .zip(other)
        .map(|(a, b)| (a - b).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// Algorithm 2 literally: every ball is stored and every pair is measured.
fn by_the_book(outcomes: &[Outcome], points: &[Vector]) -> Vec<Outcome> {
    let mut stored: Vec<(usize, u32, f64)> = Vec::new();
    let mut resolved = Vec::new();
    for (i, outcome) in outcomes.iter().enumerate() {
        let Some((own, radius)) = parts(outcome) else {
            resolved.push(Outcome::Abstained);
            continue;
        };
        let others: Vec<_> = stored.iter().filter(|ball| ball.1 != own).collect();
        let depth = |ball: &(usize, u32, f64)| ball.2 - distance(&points[i], &points[ball.0]);
        let deepest = others.iter().max_by(|a, b| depth(a).total_cmp(&depth(b)));
        let (class, radius) = match deepest {
            Some(ball) if depth(ball) > 0.0 => (ball.1, depth(ball)),
            Some(ball) => (own, radius.min(-depth(ball))),
            None => (own, radius),
        };
        stored.push((i, class, radius));
        resolved.push(certified(class, radius));
    }
    resolved
}

fn assert_alike(found: &[Outcome], expected: &[Outcome]) {
    assert_eq!(found.len(), expected.len());
    for (place, pair) in found.iter().zip(expected).enumerate() {
        let (found, expected) = (parts(pair.0), parts(pair.1));
        assert_eq!(
            found.map(|ball| ball.0),
            expected.map(|ball| ball.0),
            "input {place}"
        );
        let radii = (
            found.map_or(0.0, |ball| ball.1),
            expected.map_or(0.0, |ball| ball.1),
        );
        assert!(
            (radii.0 - radii.1).abs() <= 1e-9,
            "input {place}: {radii:?}"
        );
    }
}

#[test]
fn golden_cases_are_resolved_exactly() {
    let golden = crate::golden::json("memory.json");
    let outcome = |class: &Value, radius: &Value| match class.as_u64() {
        Some(class) => certified(class as u32, radius.as_f64().unwrap()),
        None => Outcome::Abstained,
    };
    for case in golden["cases"].as_array().unwrap() {
        let points: Vec<Vector> = serde_json::from_value(case["points"].clone()).unwrap();
        let (classes, radii) = (
            case["prediction"].as_array().unwrap(),
            case["radius"].as_array().unwrap(),
        );
        let given: Vec<_> = classes
            .iter()
            .zip(radii)
            .map(|(class, radius)| outcome(class, radius))
            .collect();
        let expected = case["expected"].as_array().unwrap().iter();
        let expected: Vec<_> = expected
            .map(|row| outcome(&row["prediction"], &row["radius"]))
            .collect();
        assert_alike(&resolve_vectors(&given, &points), &expected);
        assert_alike(&by_the_book(&given, &points), &expected);
    }
}

#[test]
fn an_input_inside_a_ball_takes_its_class_and_one_outside_shrinks() {
    let points = [vec![0.0], vec![0.25], vec![1.5], vec![5.0], vec![0.0]];
    let given = [
        certified(1, 1.0),
        certified(2, 0.1),
        certified(2, 4.0),
        Outcome::Abstained,
        certified(3, 0.5),
    ];
    let expected = [
        certified(1, 1.0),
        certified(1, 0.75),
        certified(2, 0.5),
        Outcome::Abstained,
        certified(1, 1.0),
    ];
    assert_alike(&resolve_vectors(&given, &points), &expected);
}

#[test]
fn an_input_on_the_edge_of_a_ball_keeps_its_class_without_a_radius() {
    let found = resolve_vectors(
        &[certified(1, 1.0), certified(2, 1.0)],
        &[vec![0.0], vec![1.0]],
    );
    assert_eq!(found, [certified(1, 1.0), certified(2, 0.0)]);
}

#[test]
fn overlaps_are_the_pairs_of_other_classes_that_are_nearer_than_their_radii() {
    let points = [vec![0.0], vec![1.0], vec![1.5], vec![5.0], vec![1.75]];
    let given = [
        certified(1, 1.0),
        certified(2, 0.25),
        certified(1, 0.25),
        certified(2, 3.0),
        Outcome::Abstained,
    ];
    let found = overlaps(&given, |place| Ok(Point::from(points[place].as_slice()))).unwrap();
    // Inputs 1 and 2 touch; input 3 reaches to 2.0 and so does not reach input 2.
    let pairs: Vec<_> = found.iter().map(|pair| (pair.first, pair.second)).collect();
    assert_eq!(pairs, [(0, 1)]);
    assert!((found[0].distance - 1.0).abs() < 1e-12);
}

#[test]
fn abstentions_are_not_even_read() {
    let read = |place| match place {
        1 => Ok(Point::from([0.5].as_slice())),
        _ => bail!("input {place} was read"),
    };
    let given = [Outcome::Abstained, certified(0, 1.0), Outcome::Abstained];
    assert_eq!(resolve(&given, read).unwrap(), given);
    assert_eq!(resolve(&[], read).unwrap(), []);
}

#[test]
fn images_that_are_far_apart_are_read_once() {
    let image = |place: usize| Image {
        shape: [3, 32, 32],
        pixels: vec![place as f32 / 100.0; 3 * 32 * 32],
    };
    let reads = AtomicUsize::new(0);
    let read = |place| {
        reads.fetch_add(1, Ordering::Relaxed);
        Ok(Point::from(image(place)))
    };
    // Neighbours are 0.55 apart.
    let given: Vec<_> = (0..100).map(|place| certified(place % 2, 0.25)).collect();
    assert_eq!(resolve(&given, read).unwrap(), given);
    // The first is read once more, for its shape.
    assert_eq!(reads.into_inner(), 101);
}

#[test]
fn points_that_cannot_be_compared_are_named() {
    let error = |second: Vector| {
        let points = [vec![0.0, 0.0], second];
        let read = |place: usize| Ok(Point::from(points[place].as_slice()));
        format!(
            "{:#}",
            resolve(&[certified(0, 1.0), certified(1, 1.0)], read).unwrap_err()
        )
    };
    assert_eq!(
        error(vec![0.0]),
        "input 1 of the variant: its shape is [1, 1, 1], but the inputs before it have [1, 1, 2]"
    );
    for bad in [f64::NAN, f64::INFINITY, 1e101] {
        assert!(
            error(vec![0.0, bad]).starts_with("input 1 of the variant: a coordinate is NaN or"),
            "{bad}"
        );
    }
}

/// Points in clusters; outcomes have few classes and radii about as large as the clusters.
fn clustered(dims: usize) -> impl Strategy<Value = (Vec<Outcome>, Vec<Vector>)> {
    let centre = prop::collection::vec(0.0..1.0_f64, dims);
    let spread = (dims as f64).sqrt();
    let input = (
        0..3_usize,
        prop::collection::vec(-0.1..0.1_f64, dims),
        0..5_u32,
        0.0..0.3_f64,
    );
    let inputs = prop::collection::vec(input, 1..40);
    (prop::collection::vec(centre, 3), inputs).prop_map(move |(centres, inputs)| {
        let place = |(cluster, offset, class, radius): (usize, Vector, u32, f64)| {
            // In steps of 1/256, as pixels are.
            let step = |(a, b): (&f64, f64)| ((a + b) * 256.0).round() / 256.0;
            let point = centres[cluster].iter().zip(offset).map(step).collect();
            let outcome = if class == 4 {
                Outcome::Abstained
            } else {
                certified(class, radius * spread)
            };
            (outcome, point)
        };
        inputs.into_iter().map(place).unzip()
    })
}

/// Returns true if two balls around points in steps of 1/256 are disjoint, computed in integers
/// without rounding.
fn disjoint(one: (&Vector, f64), other: (&Vector, f64)) -> bool {
    let squared = one
        .0
        .iter()
        .zip(other.0)
        .map(|(a, b)| ((a - b) * 256.0).powi(2) as u128)
        .sum::<u128>();
    let scaled = |radius: f64| (radius * 60.0_f64.exp2()).ceil() as u128;
    (scaled(one.1) + scaled(other.1)).pow(2) <= squared << (120 - 16)
}

proptest! {
    #[test]
    fn what_is_filtered_agrees_with_the_book((given, points) in clustered(2)) {
        assert_alike(&resolve_vectors(&given, &points), &by_the_book(&given, &points));
    }

    #[test]
    fn what_is_projected_agrees_with_the_book((given, points) in clustered(3 * 10 * 11)) {
        let images: Vec<_> = points.iter().map(|point| {
            Image { shape: [3, 10, 11], pixels: point.iter().map(|&x| x as f32).collect() }
        }).collect();
        let found = resolve(&given, |place| Ok(Point::from(&images[place]))).unwrap();
        assert_alike(&found, &by_the_book(&given, &points));
    }

    #[test]
    fn balls_of_different_classes_never_overlap((given, points) in clustered(6)) {
        let found = resolve_vectors(&given, &points);
        let balls: Vec<_> = found
            .iter()
            .zip(&points)
            .filter_map(|(outcome, at)| Some((at, parts(outcome)?)))
            .collect();
        for (i, &(at, (class, radius))) in balls.iter().enumerate() {
            for &(there, (other, reach)) in &balls[..i] {
                let apart = class == other || radius == 0.0 || reach == 0.0;
                prop_assert!(
                    apart || disjoint((at, radius), (there, reach)),
                    "{radius} and {reach}"
                );
            }
        }
    }

    #[test]
    fn a_kept_class_never_gains_radius((given, points) in clustered(3)) {
        for (before, after) in given.iter().zip(resolve_vectors(&given, &points)) {
            let (before, after) = (parts(before), parts(&after));
            prop_assert_eq!(before.is_none(), after.is_none());
            if let (Some(before), Some(after)) = (before, after) {
                prop_assert!(before.0 != after.0 || after.1 <= before.1);
            }
        }
    }
}
