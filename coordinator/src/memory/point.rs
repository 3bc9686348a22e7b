//! An input as a point, and the distance between two points with bounds on its rounding.

use std::borrow::Cow;

use anyhow::{Result, ensure};
use ddrs_common::data::Image;

/// The number type of coordinates: float32 for pixels, float64 for anything else.
pub(crate) trait Coordinate: Copy + Into<f64> + Send + Sync + 'static {}

impl Coordinate for f32 {}

impl Coordinate for f64 {}

/// An input as a point, borrowed from a dataset in memory or owned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point<'a, T: Coordinate> {
    shape: [usize; 3],
    coordinates: Cow<'a, [T]>,
}

/// The largest magnitude of a coordinate, so that squares neither overflow nor are NaN.
const LARGEST_COORDINATE: f64 = 1e100;

/// An upper bound on the part of a distance that underflow in squares can remove.
const UNDERFLOW: f64 = 1e-140;

impl From<Image> for Point<'_, f32> {
    fn from(image: Image) -> Self {
        Self::new(image.shape, image.pixels)
    }
}

impl<'a> From<&'a Image> for Point<'a, f32> {
    fn from(image: &'a Image) -> Self {
        Self {
            shape: image.shape,
            coordinates: Cow::Borrowed(&image.pixels),
        }
    }
}

impl<'a> From<&'a [f64]> for Point<'a, f64> {
    fn from(coordinates: &'a [f64]) -> Self {
        Self {
            shape: [1, 1, coordinates.len()],
            coordinates: Cow::Borrowed(coordinates),
        }
    }
}

/// Bounds of the distance between two points, with all rounding taken into account.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Distance {
    /// The lower bound.
    pub(super) nearest: f64,
    /// The upper bound.
    pub(super) farthest: f64,
}

impl<T: Coordinate> Point<'_, T> {
    /// A point of this shape (channels, height, width).
    pub(crate) fn new(shape: [usize; 3], coordinates: Vec<T>) -> Self {
        Self {
            shape,
            coordinates: Cow::Owned(coordinates),
        }
    }

    /// Channels, height, width.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The coordinates in the order of the shape.
    pub(super) fn coordinates(&self) -> &[T] {
        &self.coordinates
    }

    /// Checks that the point has a distance to the other points, which have `shape`.
    pub(super) fn check(&self, shape: [usize; 3]) -> Result<()> {
        ensure!(
            self.shape == shape,
            "its shape is {:?}, but the inputs before it have {shape:?}",
            self.shape
        );
        self.check_size()?;
        ensure!(
            self.coordinates.iter().copied().all(is_comparable),
            "a coordinate is NaN or its magnitude is above {LARGEST_COORDINATE}"
        );
        Ok(())
    }

    fn check_size(&self) -> Result<()> {
        let shape = self.shape;
        let size: usize = shape.iter().product();
        let count = self.coordinates.len();
        ensure!(
            size == count,
            "its shape {shape:?} has {size} coordinates, not {count}"
        );
        Ok(())
    }

    /// Computes the Euclidean distance, in float64.
    ///
    /// Error bound: each squared difference has an error of at most 3 roundings of 2^-53. A sum of
    /// n of them, all nonnegative, adds at most n - 1 in any order. The root halves that and adds
    /// one. The slack of n + 8 roundings is more than twice as much.
    pub(super) fn distance(&self, other: &Self) -> Distance {
        let measured = squared_distance(&self.coordinates, &other.coordinates).sqrt();
        let slack = (self.coordinates.len() + 8) as f64 * f64::EPSILON / 2.0;
        Distance {
            nearest: (measured * (1.0 - slack)).max(0.0),
            farthest: measured * (1.0 + slack) + UNDERFLOW,
        }
    }
}

fn is_comparable(coordinate: impl Into<f64>) -> bool {
    coordinate.into().abs() <= LARGEST_COORDINATE
}

const LANES: usize = 8;

/// Sums the squared differences, in several independent sums so that the processor can compute them
/// together.
pub(super) fn squared_distance<T: Coordinate>(one: &[T], other: &[T]) -> f64 {
    let mut sums = [0.0; LANES];
    let (blocks, rest) = one.as_chunks::<LANES>();
    let (other_blocks, other_rest) = other.as_chunks::<LANES>();
    for (a, b) in blocks.iter().zip(other_blocks) {
        add_squares(&mut sums, a, b);
    }
    sums.iter().sum::<f64>() + sum_of_squares(rest, other_rest)
}

fn sum_of_squares<T: Coordinate>(one: &[T], other: &[T]) -> f64 {
    let pairs = one.iter().zip(other);
    pairs.map(|(&a, &b)| (a.into() - b.into()).powi(2)).sum()
}

fn add_squares<T: Coordinate>(sums: &mut [f64; LANES], one: &[T; LANES], other: &[T; LANES]) {
    for lane in 0..LANES {
        let difference = one[lane].into() - other[lane].into();
        sums[lane] += difference * difference;
    }
}
