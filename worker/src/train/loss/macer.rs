//! MACER (Zhai et al. 2020): attack-free training that maximises the certified radius.

use tch::{Kind, TchError, Tensor};

use super::{LossValue, TrainingBatch, count_correct, negative_log_likelihood, smoothed};
use crate::sigma::quantile_gap;

/// The parameters of the loss.
#[derive(Debug, Clone, Copy)]
pub(super) struct MacerWeights {
    pub(super) beta: f64,
    pub(super) gamma: f64,
    pub(super) lambda: f64,
}

/// Probabilities are clamped to at least this and at most 1 minus this, so that the quantile stays
/// finite where rounding gives 0 or 1. Clamped probabilities have no gradient, but the paper's
/// gamma ends the gradient before that.
const MIN_PROBABILITY: f64 = 1e-6;

/// Returns the mean over the inputs of
///
/// -log z_y + lambda · sigma/2 · max(0, gamma - (q(zeta_1) - q(zeta_2)))   (Algorithm 1 and
/// equation 10 of the paper)
///
/// z is the softmax of the scores, averaged over the draws. zeta is the same for the scores times
/// beta, with its two largest entries zeta_1 and zeta_2. q is the standard normal quantile. The
/// second term is present only for inputs whose largest zeta is that of the label. The paper has
/// one sigma; here each input has its own.
///
/// The first term is computed in logarithms. An input that is misclassified with certainty
/// therefore still has a gradient, and a score that is NaN or infinite makes the loss so.
pub(super) fn loss(
    scores: &Tensor,
    batch: &TrainingBatch,
    draws: i64,
    weights: MacerWeights,
) -> Result<LossValue, TchError> {
    let inputs = batch.len();
    let probabilities = smoothed(scores, inputs, draws)?;
    let classification = negative_log_likelihood(scores, batch.labels, inputs, draws)?;
    let robustness = robustness(scores, batch, draws, weights)?;
    let loss = classification.f_add(&robustness)?.f_mean(None::<Kind>)?;
    Ok(LossValue {
        loss,
        correct: count_correct(&probabilities.f_detach()?, batch.labels)?,
    })
}

/// Returns the second term of [`loss`], of shape (B).
fn robustness(
    scores: &Tensor,
    batch: &TrainingBatch,
    draws: i64,
    weights: MacerWeights,
) -> Result<Tensor, TchError> {
    let zeta = smoothed(&scores.f_mul_scalar(weights.beta)?, batch.len(), draws)?;
    let (top, classes) = zeta.f_topk(2, -1, true, true)?;
    let is_right = first_is_label(&classes, batch.labels)?;
    hinge(&top, weights.gamma)?
        .f_mul(batch.sigma)?
        .f_mul(&is_right.f_to_kind(scores.kind())?)?
        .f_mul_scalar(0.5 * weights.lambda)
}

/// Returns true for each input whose first class is its label.
fn first_is_label(classes: &Tensor, labels: &Tensor) -> Result<Tensor, TchError> {
    classes.f_select(1, 0)?.f_eq_tensor(labels)
}

/// Returns max(0, gamma - (q(zeta_1) - q(zeta_2))), of shape (B).
fn hinge(top: &Tensor, gamma: f64) -> Result<Tensor, TchError> {
    let gap = quantile_gap(top, MIN_PROBABILITY)?;
    gap.f_neg()?.f_add_scalar(gamma)?.f_clamp_min(0.0)
}
