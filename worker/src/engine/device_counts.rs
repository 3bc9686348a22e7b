//! Class counts that are kept where forward passes run, and read once per request.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tch::{Device, Kind, TchError, Tensor};

/// The class counts of one request, on the device.
#[derive(Debug)]
pub(super) struct DeviceCounts {
    classes: usize,
    /// One count per class, then the number of rows whose scores are not all finite. `None` before
    /// the first rows.
    counts: Mutex<Option<Tensor>>,
}

impl DeviceCounts {
    pub(super) fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: Mutex::default(),
        }
    }

    /// Adds the classes of some rows, as [`classify`] returns them. `ones` holds a 1 per row. Does
    /// not wait for the device.
    ///
    /// Sums of integers are the same in whatever order a GPU makes them.
    pub(super) fn add(&self, classes: &Tensor, ones: &Tensor) -> Result<(), TchError> {
        let mut counts = self.lock();
        let mut sum = match counts.take() {
            Some(sum) => sum,
            None => self.zeros(classes.device())?,
        };
        let _ = sum.f_scatter_add_(0, classes, ones)?;
        *counts = Some(sum);
        Ok(())
    }

    /// Returns the number of rows per class, or `None` if the scores of some rows were not all
    /// finite. Waits for the device.
    pub(super) fn read(&self) -> Result<Option<Vec<u64>>, TchError> {
        match &*self.lock() {
            Some(sum) => counts_if_finite(sum),
            None => Ok(Some(vec![0; self.classes])),
        }
    }

    fn zeros(&self, device: Device) -> Result<Tensor, TchError> {
        Tensor::f_zeros([self.classes as i64 + 1], (Kind::Int64, device))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Tensor>> {
        // A tensor is stored whole, so a panic elsewhere leaves nothing half written.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the counts, the last of which must be 0: it counts the rows whose scores are not all
/// finite.
fn counts_if_finite(sum: &Tensor) -> Result<Option<Vec<u64>>, TchError> {
    let sums: Vec<i64> = Vec::try_from(sum)?;
    let mut counts: Vec<u64> = sums.into_iter().map(|count| count as u64).collect();
    Ok((counts.pop() == Some(0)).then_some(counts))
}

/// Returns the class with the highest score of each row; where a score is not finite, the number of
/// classes.
pub(super) fn classify(scores: &Tensor) -> Result<Tensor, TchError> {
    let finite = scores.f_isfinite()?.f_all_dim(1, false)?;
    let classes = scores.f_argmax(1, false)?;
    classes.f_where_self(&finite, &classes.f_full_like(scores.size()[1])?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Counts rows of two classes, two rows at a time.
    fn count(scores: &[f32]) -> Option<Vec<u64>> {
        let counts = DeviceCounts::new(2);
        for rows in scores.chunks(4) {
            let classes = classify(&Tensor::from_slice(rows).view([-1, 2])).unwrap();
            counts.add(&classes, &classes.ones_like()).unwrap();
        }
        counts.read().unwrap()
    }

    #[test]
    fn the_first_of_equal_scores_is_counted() {
        assert_eq!(
            count(&[0.0, 1.0, 2.0, 1.0, -1.0, 3.0, 5.0, 5.0, -1.0, -2.0]),
            Some(vec![3, 2])
        );
        assert_eq!(count(&[]), Some(vec![0, 0]));
    }

    #[test]
    fn one_score_that_is_not_finite_leaves_nothing_counted() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(count(&[0.0, 1.0, 0.0, bad, 1.0, 0.0]), None, "{bad}");
        }
    }
}
