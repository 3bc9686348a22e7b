#![allow(clippy::unwrap_used)]
use std::cell::RefCell;
use std::rc::Rc;

use super::*;

#[test]
fn a_gpu_takes_whole_chunks_and_the_cpu_enough_images_to_tell() {
    assert_eq!(other_sizes(500, BatchMode::Device), [1000]);
    assert_eq!(other_sizes(50, BatchMode::Host), [25, 100]);
    assert_eq!(other_sizes(10, BatchMode::Host), [20]);
}

/// Makes a trial of a network with one score for images of one pixel.
fn trial(score: &dyn Fn(&Tensor) -> Result<ScoreBits, TchError>) -> ScoringTrial<'_> {
    let images = random_images([1, 1, 1], Device::Cpu, Kind::Float).unwrap();
    ScoringTrial::new(score, 1, images)
}

/// Tries a network whose score is the pixel plus `off(row, pixel)`.
fn equal_scores(rows: u64, off: impl Fn(u64, f32) -> f32) -> Option<Vec<ScoreBits>> {
    let score = |batch: &Tensor| {
        let pixels = Vec::<f32>::try_from(batch.view(-1)).unwrap();
        Ok(pixels
            .iter()
            .zip(0..)
            .map(|(&pixel, row)| (pixel + off(row, pixel)).to_bits())
            .collect())
    };
    let trial = trial(&score);
    trial.run(rows, None).unwrap().map(|found| found.scores)
}

#[test]
fn one_image_that_is_scored_otherwise_in_one_row_is_found_whichever_they_are() {
    let images: Vec<f32> = equal_scores(IMAGES as u64, |_, _| 0.0)
        .unwrap()
        .iter()
        .map(|bits| f32::from_bits(bits[0]))
        .collect();
    for rows in [1, 3, 7, 20] {
        assert_eq!(
            equal_scores(rows, |_, _| 0.0).unwrap().len(),
            IMAGES,
            "{rows} rows"
        );
        for (image, odd) in images
            .iter()
            .flat_map(|&image| (0..rows).map(move |row| (image, row)))
        {
            let found = equal_scores(rows, |row, pixel| {
                if row == odd && pixel.to_bits() == image.to_bits() {
                    1.0
                } else {
                    0.0
                }
            });
            // With one row there is no second row that could differ.
            assert_eq!(
                found.is_none(),
                rows > 1,
                "{rows} rows, image {image} in row {odd}"
            );
        }
    }
}

#[test]
fn a_size_that_scores_a_single_image_otherwise_is_not_taken() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let shape = |rows, off: fn(u64, f32) -> f32| {
        let seen = Rc::clone(&seen);
        let score = move |batch: &Tensor| {
            let pixels = Vec::<f32>::try_from(batch.view(-1)).unwrap();
            seen.borrow_mut().push(pixels.len() as u64);
            Ok(pixels
                .iter()
                .map(|&pixel| (pixel + off(pixels.len() as u64, pixel)).to_bits())
                .collect())
        };
        fastest(&trial(&score), rows, BatchMode::Device).unwrap()
    };
    // A pass of three rows, so that no pass alone holds every image.
    let largest = |pixels: u64, pixel: f32| if pixels == 6 && pixel > 0.0 { 1.0 } else { 0.0 };
    assert_eq!(
        shape(3, largest),
        PassShape {
            rows: 3,
            packing: Packing::Anywhere
        }
    );
    assert!(seen.borrow().contains(&6), "{seen:?}");
}

#[test]
fn scores_of_another_number_than_images_leave_requests_to_themselves() {
    let score = |_: &Tensor| Ok(vec![0; 5]);
    assert_eq!(
        fastest(&trial(&score), 4, BatchMode::Host).unwrap(),
        PassShape {
            rows: 4,
            packing: Packing::InPlace
        }
    );
}
