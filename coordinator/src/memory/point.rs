//! Where an input is.

use std::borrow::Cow;

use anyhow::{Result, ensure};
use ddrs_common::data::Image;

/// What coordinates are stored as: pixels in float32, anything else in float64.
pub trait Coordinate: Copy + Into<f64> + Send + Sync + 'static {}

impl Coordinate for f32 {}

impl Coordinate for f64 {}

/// An input as a point: borrowed where the dataset is in memory, owned where it was read for the
/// purpose.
#[derive(Debug, Clone, PartialEq)]
pub struct Point<'a, T: Coordinate> {
    shape: [usize; 3],
    coordinates: Cow<'a, [T]>,
}

/// Coordinates beyond this are refused, so that squares neither overflow nor are NaN.
const LARGEST_COORDINATE: f64 = 1e100;

/// What underflow in squares can hide from a distance, and more.
const UNDERFLOW: f64 = 1e-140;

impl From<Image> for Point<'_, f32> {
    fn from(image: Image) -> Self {
        Self {
            shape: image.shape,
            coordinates: Cow::Owned(image.pixels),
        }
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

/// What a distance between two points may be, given what rounding may have done to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Distance {
    /// It is not less.
    pub(super) nearest: f64,
    /// It is not more.
    pub(super) farthest: f64,
}

impl<T: Coordinate> Point<'_, T> {
    /// Channels, height, width.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The coordinates in the order of the shape.
    pub(super) fn coordinates(&self) -> &[T] {
        &self.coordinates
    }

    /// Refuses what has no distance to the other points, which are of `shape`.
    pub(super) fn check(&self, shape: [usize; 3]) -> Result<()> {
        ensure!(
            self.shape == shape,
            "its shape is {:?}, that of the inputs before it {shape:?}",
            self.shape
        );
        let (size, len) = (shape.iter().product::<usize>(), self.coordinates.len());
        ensure!(
            size == len,
            "its shape {shape:?} has {size} coordinates, not {len}"
        );
        let comparable = |&x: &T| x.into().abs() <= LARGEST_COORDINATE;
        ensure!(
            self.coordinates.iter().all(comparable),
            "a coordinate is not a number or above {LARGEST_COORDINATE}"
        );
        Ok(())
    }

    /// The Euclidean distance, in float64.
    ///
    /// Each squared difference is off by 3 roundings of 2^-53 at most and a sum of n of them, none
    /// negative, by another n - 1 whatever its order; the root halves that and adds one. n + 8 is
    /// more than twice as much.
    pub(super) fn distance(&self, other: &Self) -> Distance {
        let measured = squared_distance(&self.coordinates, &other.coordinates).sqrt();
        let slack = (self.coordinates.len() + 8) as f64 * f64::EPSILON / 2.0;
        Distance {
            nearest: (measured * (1.0 - slack)).max(0.0),
            farthest: measured * (1.0 + slack) + UNDERFLOW,
        }
    }
}

/// The sum of squared differences, in several sums side by side so that the processor can take them
/// together.
pub(super) fn squared_distance<T: Coordinate>(one: &[T], other: &[T]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (blocks, rest) = one.as_chunks::<LANES>();
    let (other_blocks, other_rest) = other.as_chunks::<LANES>();
    for (a, b) in blocks.iter().zip(other_blocks) {
        for lane in 0..LANES {
            let difference = a[lane].into() - b[lane].into();
            sums[lane] += difference * difference;
        }
    }
    let tail = rest
        .iter()
        .zip(other_rest)
        .map(|(&a, &b)| (a.into() - b.into()).powi(2))
        .sum::<f64>();
    sums.iter().sum::<f64>() + tail
}
