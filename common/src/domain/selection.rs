//! The samples of a dataset that a specification selects.

use std::num::NonZeroU64;

use super::SampleIndex;

/// Every `stride`-th sample from `offset` on, at most `limit` of them.
///
/// A selected sample has a *position*, counted from 0 in the selection, and an *index* in the
/// dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// The index at position 0.
    pub offset: u64,
    /// The distance between the indices of neighbours.
    pub stride: NonZeroU64,
    /// The largest number of samples; `None` selects all.
    pub limit: Option<NonZeroU64>,
}

impl Selection {
    /// Selects every sample.
    pub const ALL: Self = Self {
        offset: 0,
        stride: NonZeroU64::MIN,
        limit: None,
    };

    /// The number of samples that are selected of a dataset of `len`.
    #[must_use]
    pub fn count(&self, len: u64) -> u64 {
        let all = len.saturating_sub(self.offset).div_ceil(self.stride.get());
        self.limit.map_or(all, |limit| all.min(limit.get()))
    }

    /// The index of the sample at `position`.
    #[must_use]
    pub fn index(&self, position: u64) -> SampleIndex {
        SampleIndex(self.offset + position * self.stride.get())
    }

    /// The position of `index`; `None` if it lies before the offset or between the strides.
    #[must_use]
    pub fn position(&self, index: SampleIndex) -> Option<u64> {
        let distance = index.0.checked_sub(self.offset)?;
        distance
            .is_multiple_of(self.stride.get())
            .then(|| distance / self.stride)
    }
}
