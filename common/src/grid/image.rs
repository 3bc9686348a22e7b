//! An image as whole numbers of steps of a grid.

use super::Grid;
use crate::domain::{InvalidValue, Radius};

/// The largest absolute value of a step.
const MAX_STEP: f64 = 8_388_608.0;
/// Makes up for the rounding of sums and of the root in [`distance`].
const ROUNDED_UP: f64 = 1.0 + 1e-7;

/// An image on a grid: the grid point next to it, and its distance from it.
///
/// A value counts as on the grid if it is k / g rounded to single precision, as the decoders of
/// 8-bit images write k / 255. The image is then taken to be the grid point itself.
#[derive(Debug, Clone, PartialEq)]
pub struct GridImage {
    /// The values, in steps of the grid.
    pub steps: Vec<i32>,
    /// The L2 distance between the image and the grid point, rounded up; 0 on the grid.
    pub off_grid: Radius,
}

impl GridImage {
    /// Rounds values to the grid.
    ///
    /// # Errors
    /// When a value is not finite, or has more than 2^23 steps. Smaller ones and noise have a sum
    /// that single precision holds exactly.
    pub fn new(grid: Grid, values: &[f32]) -> Result<Self, InvalidValue> {
        let steps = values.iter().map(|&value| nearest(grid, value));
        let steps: Vec<i32> = steps.collect::<Result<_, _>>()?;
        let off_grid = distance(grid, values, &steps)?;
        Ok(Self { steps, off_grid })
    }

    /// The point that certificates of an image are about, in steps of the grid, without any
    /// rounding: the grid value of each value that counts as on the grid, and the value itself of
    /// any other.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn centre(grid: Grid, values: &[f32]) -> Result<Vec<f64>, InvalidValue> {
        let centre = values.iter().map(|&value| {
            let step = nearest(grid, value)?;
            if value == rendered(grid, step) {
                return Ok(f64::from(step));
            }
            // 24 bits times at most 16 bits are exact.
            Ok(f64::from(value) * f64::from(grid.get()))
        });
        centre.collect()
    }
}

/// The grid value next to `value`.
fn nearest(grid: Grid, value: f32) -> Result<i32, InvalidValue> {
    let step = (f64::from(value) * f64::from(grid.get())).round();
    if step.abs() <= MAX_STEP {
        return Ok(step as i32);
    }
    Err(InvalidValue(format!(
        "the image has the value {value}, which is not finite or too large for a grid of {grid}"
    )))
}

/// The value of a grid point as an image file's decoder writes it.
fn rendered(grid: Grid, step: i32) -> f32 {
    step as f32 / grid.get() as f32
}

fn distance(grid: Grid, values: &[f32], steps: &[i32]) -> Result<Radius, InvalidValue> {
    let pairs = values.iter().zip(steps);
    let squares: f64 = pairs
        .filter(|&(&value, &step)| value != rendered(grid, step))
        .map(|(&value, &step)| (f64::from(value) - exact(grid, step)).powi(2))
        .sum();
    Radius::new(squares.sqrt() * ROUNDED_UP)
}

fn exact(grid: Grid, step: i32) -> f64 {
    f64::from(step) / f64::from(grid.get())
}
