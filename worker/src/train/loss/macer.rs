//! MACER (Zhai et al. 2020): attack-free training by maximising the certified radius.

use tch::{Kind, TchError, Tensor};

use super::{Batch, Value, correct, smoothed, surprise};

/// The numbers of the loss.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights {
    pub(super) beta: f64,
    pub(super) gamma: f64,
    pub(super) lambda: f64,
}

/// Keeps the quantile of a probability that rounding took to 0 or 1 finite. Beyond it the hinge has
/// no gradient, which is where the paper's gamma has ended it already.
const LEAST_PROBABILITY: f64 = 1e-6;

/// The mean over the inputs of
///
/// -log z_y + lambda · sigma/2 · max(0, gamma - (q(zeta_1) - q(zeta_2)))   (Algorithm 1 and
/// equation 10 of the paper)
///
/// where z is the softmax averaged over the draws, zeta the same of the scores times beta, its two
/// largest entries, and q the standard normal quantile. The second term is there only for inputs
/// whose largest zeta is the label's. The paper's one sigma is each input's own here. The first
/// term is computed in logarithms: an input that is told apart wrongly and with certainty has a
/// gradient, and scores that are none make the loss none.
pub(super) fn loss(
    scores: &Tensor,
    batch: &Batch,
    draws: i64,
    weights: Weights,
) -> Result<Value, TchError> {
    let inputs = batch.images.size()[0];
    let probabilities = smoothed(scores, inputs, draws)?;
    let classification = surprise(scores, batch.labels, inputs, draws)?;
    let sharp = smoothed(&scores.f_mul_scalar(weights.beta)?, inputs, draws)?;
    let (top, classes) = sharp.f_topk(2, -1, true, true)?;
    let quantiles = top
        .f_clamp(LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY)?
        .f_special_ndtri()?;
    let gap = quantiles
        .f_select(1, 0)?
        .f_sub(&quantiles.f_select(1, 1)?)?;
    let hinge = gap.f_neg()?.f_add_scalar(weights.gamma)?.f_clamp_min(0.0)?;
    let is_right = classes
        .f_select(1, 0)?
        .f_eq_tensor(batch.labels)?
        .f_to_kind(scores.kind())?;
    let robustness = hinge
        .f_mul(batch.sigma)?
        .f_mul(&is_right)?
        .f_mul_scalar(0.5 * weights.lambda)?;
    let loss = classification.f_add(&robustness)?.f_mean(None::<Kind>)?;
    Ok(Value {
        loss,
        correct: correct(&probabilities.f_detach()?, batch.labels)?,
    })
}
