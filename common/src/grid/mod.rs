//! Noise on a grid: image values and noise are whole numbers of steps, so no rounding of a sum can
//! tell a network anything about the image.
//!
//! A grid has `g` values per unit, so its step is h = 1/g. An image is x = h u with whole numbers
//! u. The noise is h K, where K has the distribution of a Gaussian rounded to the grid:
//! P(K <= k) = Phi((k + 1/2) h / sigma). The network's input is a function of u + K. Since u + K is
//! the rounded value of (x + Gaussian) / h, the smoothed classifier is that of another base
//! classifier, which rounds its input first, and Theorem 1 of Cohen et al. (2019) holds for it
//! in the reals (docs/STATISTICS.md).
//!
//! - [`Grid`]: the number of values per unit
//! - [`DataFacts`]: what every program must know of a dataset
//! - [`GridImage`]: an image in steps of the grid
//! - [`thresholds`]: the distribution of K as 64-bit numbers
//! - [`GridLoss`]: the amount by which certificates are smaller for it

mod facts;
mod image;
mod loss;
mod normal_tail;
mod thresholds;

pub use facts::{DataFacts, ImageFacts};
pub use image::GridImage;
pub use loss::GridLoss;
pub use thresholds::{MAX_STEPS, Thresholds, thresholds};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::{InvalidValue, Sigma};

/// The number of grid values per unit of pixels in \[0, 1\].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Grid(u32);

impl Grid {
    /// The grid of images with 8 bits per value.
    pub const BYTES: Self = Self(255);

    /// The values per unit of the finest grid, that of 16-bit images.
    pub const FINEST: u32 = 65_535;

    /// Checks the range.
    ///
    /// # Errors
    /// When the number is 0 or above [`Self::FINEST`].
    pub fn new(values_per_unit: u32) -> Result<Self, InvalidValue> {
        if (1..=Self::FINEST).contains(&values_per_unit) {
            return Ok(Self(values_per_unit));
        }
        Err(InvalidValue(format!(
            "a grid has 1 to {} values per unit, not {values_per_unit}",
            Self::FINEST
        )))
    }

    /// The number of values per unit.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    /// The standard deviation of the noise in steps of the grid.
    #[must_use]
    pub fn steps(self, sigma: Sigma) -> f64 {
        sigma.get() * f64::from(self.0)
    }

    /// Checks that noise of this sigma can be drawn on this grid.
    ///
    /// # Errors
    /// When sigma has more than [`MAX_STEPS`] steps.
    pub fn check(self, sigma: Sigma) -> Result<(), InvalidValue> {
        if self.steps(sigma) <= MAX_STEPS {
            return Ok(());
        }
        Err(InvalidValue(format!(
            "sigma {sigma} times the {self} grid values per unit must be at most {MAX_STEPS}"
        )))
    }

    /// The finest grid, a power of two, on which noise up to `sigma` can be drawn.
    #[must_use]
    pub fn finest_for(sigma: Sigma) -> Self {
        let mut grid = Self(1 << Self::FINEST.ilog2());
        while grid.0 > 1 && grid.check(sigma).is_err() {
            grid.0 /= 2;
        }
        grid
    }
}

impl TryFrom<u32> for Grid {
    type Error = InvalidValue;

    fn try_from(values_per_unit: u32) -> Result<Self, InvalidValue> {
        Self::new(values_per_unit)
    }
}

impl From<Grid> for u32 {
    fn from(grid: Grid) -> Self {
        grid.0
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests;
