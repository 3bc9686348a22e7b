//! The amount by which certificates are smaller because noise is drawn on a grid.

use super::Grid;
use super::thresholds::reach;
use crate::domain::{Probability, Radius, Sigma};
use crate::stats;

/// The largest error of a threshold: 2^-64 from rounding it to 64 bits, and 2^-69 from Phi.
const THRESHOLD_ERROR: f64 = 33.0 / 32.0 / 18_446_744_073_709_551_616.0;
/// More than 2 Phi(-9.3), the probability of noise beyond the outermost thresholds.
const BEYOND: f64 = 1.5e-20;
/// Makes up for the rounding of the few operations of [`GridLoss::variation`].
const ROUNDED_UP: f64 = 1.0 + 1e-15;

/// The two things that a certificate of grid noise gives up: the total variation between the noise
/// that is drawn and the exact distribution, and the distance between the image and the grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GridLoss {
    noise: Option<GridNoise>,
    off_grid: Radius,
}

/// Noise on a grid, for images of some size.
#[derive(Debug, Clone, Copy, PartialEq)]
struct GridNoise {
    grid: Grid,
    values: u64,
}

impl GridLoss {
    /// The loss of exact Gaussian noise: of simulations, and of records from before grid noise.
    pub const NONE: Self = Self {
        noise: None,
        off_grid: Radius::ZERO,
    };

    /// The loss of images of this shape (channels, height, width) that are on the grid.
    #[must_use]
    pub fn new(grid: Grid, shape: [usize; 3]) -> Self {
        let values = shape.iter().product::<usize>() as u64;
        Self {
            noise: Some(GridNoise { grid, values }),
            off_grid: Radius::ZERO,
        }
    }

    /// The loss of an image at this L2 distance from the grid, rounded up.
    #[must_use]
    pub fn at_distance(self, off_grid: Radius) -> Self {
        Self { off_grid, ..self }
    }

    /// Returns true if the noise is drawn on a grid.
    #[must_use]
    pub fn has_grid(&self) -> bool {
        self.noise.is_some()
    }

    /// The distance between the image and the grid.
    #[must_use]
    pub fn off_grid(&self) -> Radius {
        self.off_grid
    }

    /// Lowers a lower bound on a class's probability under the noise that is drawn to one under the
    /// exact noise: by the total variation of a whole image, rounded down.
    #[must_use]
    pub fn lower(&self, sigma: Sigma, bound: Probability) -> Probability {
        let lowered = self.shifted(bound, -self.variation(sigma), f64::next_down);
        lowered.unwrap_or(bound)
    }

    /// Raises an upper bound in the same way, rounded up.
    #[must_use]
    pub fn upper(&self, sigma: Sigma, bound: Probability) -> Probability {
        let raised = self.shifted(bound, self.variation(sigma), f64::next_up);
        raised.unwrap_or(bound)
    }

    /// The radius around the image that a radius around its grid point implies, rounded down;
    /// `None` if the image lies outside.
    #[must_use]
    pub fn radius(&self, around_grid_point: Radius) -> Option<Radius> {
        if self.off_grid == Radius::ZERO {
            return Some(around_grid_point);
        }
        let left = (around_grid_point.get() - self.off_grid.get()).next_down();
        Radius::new(left).ok().filter(|&left| left > Radius::ZERO)
    }

    /// The radius around the grid point whose [`radius`](Self::radius) is about this one. It is
    /// rounded in no particular direction, so it may decide which draws to make.
    #[must_use]
    pub fn around_grid_point(&self, radius: Radius) -> Radius {
        Radius::new(radius.get() + self.off_grid.get()).unwrap_or(radius)
    }

    /// The radius sigma q(p_lower) less the distance to the grid; `None` for an abstention. Here
    /// `p_lower` is already lowered.
    #[must_use]
    pub fn certified_radius(&self, sigma: Sigma, p_lower: Probability) -> Option<Radius> {
        if p_lower.get() > 0.5 {
            self.radius(stats::radius(sigma, p_lower))
        } else {
            None
        }
    }

    /// A bound, rounded up, on the total variation between the noise of a whole image and the exact
    /// distribution: at most the sum of the thresholds' errors and the probability beyond them, per
    /// value.
    #[must_use]
    pub fn variation(&self, sigma: Sigma) -> f64 {
        let Some(GridNoise { grid, values }) = self.noise else {
            return 0.0;
        };
        let thresholds = 2.0 * f64::from(reach(sigma, grid));
        values as f64 * (thresholds * THRESHOLD_ERROR + BEYOND) * ROUNDED_UP
    }

    /// A bound moved by `shift` and rounded by `round`; `None` if nothing is to be moved.
    fn shifted(
        &self,
        bound: Probability,
        shift: f64,
        round: impl Fn(f64) -> f64,
    ) -> Option<Probability> {
        self.noise?;
        let moved = round(bound.get() + shift).clamp(0.0, 1.0);
        Probability::new(moved).ok()
    }
}
