//! An image as whole numbers of steps of a grid.

use super::Grid;
use crate::domain::Radius;

/// Makes up for the rounding of sums and of the root in [`distance`].
const ROUNDED_UP: f64 = 1.0 + 1e-7;

/// An image on a grid: the grid point next to it, and its distance from it.
///
/// A value counts as on the grid if it is k / g rounded to single precision, as the decoders of
/// 8-bit images write k / 255. The image is then taken to be the grid point itself.
#[derive(Debug, Clone, PartialEq)]
pub struct GridImage {
    /// The values, in steps of the grid.
    pub steps: Vec<u16>,
    /// The L2 distance between the image and the grid point, rounded up; 0 on the grid.
    pub off_grid: Radius,
}

impl GridImage {
    /// Rounds values in \[0, 1\] to the grid. Values outside are moved into the interval, and that
    /// counts as distance.
    #[must_use]
    pub fn new(grid: Grid, values: &[f32]) -> Self {
        let steps: Vec<u16> = values.iter().map(|&value| nearest(grid, value)).collect();
        let off_grid = distance(grid, values, &steps);
        Self { steps, off_grid }
    }
}

/// The grid value next to `value`.
fn nearest(grid: Grid, value: f32) -> u16 {
    (f64::from(value) * f64::from(grid.get())).round() as u16
}

/// The value of a grid point as an image file's decoder writes it.
fn rendered(grid: Grid, step: u16) -> f32 {
    f32::from(step) / grid.get() as f32
}

fn distance(grid: Grid, values: &[f32], steps: &[u16]) -> Radius {
    let pairs = values.iter().zip(steps);
    let squares: f64 = pairs
        .filter(|&(&value, &step)| value != rendered(grid, step))
        .map(|(&value, &step)| (f64::from(value) - exact(grid, step)).powi(2))
        .sum();
    // A sum of squares of finite numbers is not negative; one that is NaN is an image that no
    // network accepts.
    Radius::new(squares.sqrt() * ROUNDED_UP).unwrap_or(Radius::ZERO)
}

fn exact(grid: Grid, step: u16) -> f64 {
    f64::from(step) / f64::from(grid.get())
}
