//! Tables of grid noise that are used again: by all inputs of a fixed sigma, and by all passes of
//! an input whose sigma is its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use ddrs_common::domain::Sigma;
use ddrs_common::grid::Grid;
use tch::TchError;

use crate::noise::GridSampler;

/// The number of tables that are kept: more than inputs are in progress at once. A table takes at
/// most 800 KB.
const KEPT: usize = 64;

/// The tables, the newest last.
#[derive(Default)]
pub(super) struct SamplerCache(Mutex<VecDeque<Arc<GridSampler>>>);

impl SamplerCache {
    /// Returns the noise of a sigma on a grid.
    ///
    /// # Errors
    /// When sigma is too wide for the grid, which is checked when a sweep is prepared.
    pub(super) fn get(&self, sigma: Sigma, grid: Grid) -> Result<Arc<GridSampler>, TchError> {
        // A table is stored whole, so a panic elsewhere leaves nothing half written.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.iter().find(|sampler| sampler.is_of(sigma, grid)) {
            return Ok(Arc::clone(known));
        }
        let sampler = Arc::new(
            GridSampler::new(sigma, grid).map_err(|error| TchError::Torch(error.to_string()))?,
        );
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&sampler));
        Ok(sampler)
    }
}
