//! Classes counted where forward passes run, and read once: when a request has all its rows.

use std::sync::{Mutex, PoisonError};

use tch::{Kind, TchError, Tensor};

/// The counts of one request's classes, on the device.
#[derive(Debug)]
pub(super) struct Tally {
    classes: usize,
    /// One for each class, and one for the rows whose scores are not all finite. None before the
    /// first.
    counts: Mutex<Option<Tensor>>,
}

impl Tally {
    pub(super) fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: Mutex::default(),
        }
    }

    /// Counts some rows, each 1 in `ones`, by what [`classify`] made of them. Does not wait for the
    /// device.
    ///
    /// Sums of integers are the same in whatever order a GPU makes them.
    ///
    /// # Errors
    /// What torch reports.
    pub(super) fn add(&self, found: &Tensor, ones: &Tensor) -> Result<(), TchError> {
        // A tensor is put there whole, so a panic elsewhere leaves nothing half written.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = match counts.take() {
            Some(sum) => sum,
            None => Tensor::f_zeros([self.classes as i64 + 1], (Kind::Int64, found.device()))?,
        };
        let _ = sum.f_scatter_add_(0, found, ones)?;
        *counts = Some(sum);
        Ok(())
    }

    /// How many rows came to each class, `None` where the scores of some were not all finite. Waits
    /// for the device.
    ///
    /// # Errors
    /// What torch reports.
    pub(super) fn read(&self) -> Result<Option<Vec<u64>>, TchError> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sum) = &*counts else {
            return Ok(Some(vec![0; self.classes]));
        };
        let mut counts: Vec<u64> = Vec::<i64>::try_from(sum)?
            .into_iter()
            .map(|count| count as u64)
            .collect();
        Ok((counts.pop() == Some(0)).then_some(counts))
    }
}

/// The class with the highest score of each row, the number of classes where a score is not finite.
///
/// # Errors
/// What torch reports.
pub(super) fn classify(scores: &Tensor) -> Result<Tensor, TchError> {
    let finite = scores.f_isfinite()?.f_all_dim(1, false)?;
    let classes = scores.f_argmax(1, false)?;
    classes.f_where_self(&finite, &classes.f_full_like(scores.size()[1])?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What is counted in pieces of two rows, of two classes.
    fn counted(scores: &[f32]) -> Option<Vec<u64>> {
        let tally = Tally::new(2);
        for piece in scores.chunks(4) {
            let found = classify(&Tensor::from_slice(piece).view([-1, 2])).unwrap();
            tally.add(&found, &found.ones_like()).unwrap();
        }
        tally.read().unwrap()
    }

    #[test]
    fn the_first_of_equal_scores_is_counted() {
        assert_eq!(
            counted(&[0.0, 1.0, 2.0, 1.0, -1.0, 3.0, 5.0, 5.0, -1.0, -2.0]),
            Some(vec![3, 2])
        );
        assert_eq!(counted(&[]), Some(vec![0, 0]));
    }

    #[test]
    fn one_score_that_is_not_finite_leaves_nothing_counted() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(counted(&[0.0, 1.0, 0.0, bad, 1.0, 0.0]), None, "{bad}");
        }
    }
}
