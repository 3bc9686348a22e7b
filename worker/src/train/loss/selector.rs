//! The loss of a selector: only images for which the choice of the level matters count.

use tch::{Kind, TchError, Tensor};

use super::{LossValue, TrainingBatch, count_correct};

/// Returns the mean over the inputs of
///
/// - sum over levels j of (R_j - min_k R_k) log z_j
///
/// z is the softmax of the scores under one draw of noise, and R_j the radius that level j
/// certifies for the true class. Of two levels it is the cross-entropy with the better one,
/// weighted by the distance between both; an input for which all levels are alike has no weight.
pub(super) fn loss(scores: &Tensor, batch: &TrainingBatch) -> Result<LossValue, TchError> {
    let radii = batch.labels.f_to_kind(scores.kind())?;
    let (worst, _) = radii.f_min_dim(-1, true)?;
    let logarithms = scores.f_log_softmax(-1, None::<Kind>)?;
    let weighted = radii.f_sub(&worst)?.f_mul(&logarithms)?;
    let loss = weighted.f_sum_dim_intlist(-1, false, None::<Kind>)?;
    Ok(LossValue {
        loss: loss.f_neg()?.f_mean(None::<Kind>)?,
        correct: count_correct(&scores.f_detach()?, batch.labels)?,
    })
}
