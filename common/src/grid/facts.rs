//! The facts about a dataset that certificates and noise depend on.

use serde::{Deserialize, Serialize};

use super::{Grid, GridLoss};

/// A dataset, as the programs that certify it and check its records must agree on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataFacts {
    /// The number of samples, selected or not.
    pub len: u64,
    /// SHA-256 of the data.
    pub digest: [u8; 32],
    /// The images.
    pub images: ImageFacts,
}

/// The shape of all images of a sweep, and the grid on which their noise is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// The grid.
    pub grid: Grid,
}

impl ImageFacts {
    /// The loss of certificates for images on the grid.
    #[must_use]
    pub fn loss(&self) -> GridLoss {
        GridLoss::new(self.grid, self.shape)
    }
}
