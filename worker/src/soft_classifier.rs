//! The soft smoothed classifier: the mean, over noise draws, of the softmax of the scores. Training
//! and attacks follow its gradients.

use tch::{TchError, Tensor};

/// Returns x + sigma·eps for `draws` draws of every input, next to each other.
pub(crate) fn noisy(
    images: &Tensor,
    sigma: &Tensor,
    noise: &Tensor,
    draws: i64,
) -> Result<Tensor, TchError> {
    let sigma = repeated(sigma, draws)?.f_view(&one_per_image(images)[..])?;
    repeated(images, draws)?.f_add(&noise.f_mul(&sigma)?)
}

/// Returns the shape (B, 1, ...) of one value per image, which broadcasts over the image.
fn one_per_image(images: &Tensor) -> Vec<i64> {
    let mut shape = vec![1; images.dim()];
    shape[0] = -1;
    shape
}

/// Repeats each entry `draws` times, next to each other.
pub(crate) fn repeated(tensor: &Tensor, draws: i64) -> Result<Tensor, TchError> {
    if draws == 1 {
        Ok(tensor.shallow_clone())
    } else {
        tensor.f_repeat_interleave_self_int(draws, 0, None)
    }
}

/// Returns the probabilities of the soft smoothed classifier, of shape (B, classes): the mean of
/// the softmax over an input's draws.
pub(crate) fn smoothed(scores: &Tensor, inputs: i64, draws: i64) -> Result<Tensor, TchError> {
    let kind = scores.kind();
    scores
        .f_softmax(-1, kind)?
        .f_view([inputs, draws, -1])?
        .f_mean_dim(1, false, kind)
}

/// Returns -log of the mean over an input's draws of softmax(scores)_y, of shape (B).
///
/// The computation stays in logarithms. An untrained network may give a label a probability that is
/// 0 in single precision, and the logarithm of 0 has no gradient.
pub(crate) fn negative_log_likelihood(
    scores: &Tensor,
    labels: &Tensor,
    inputs: i64,
    draws: i64,
) -> Result<Tensor, TchError> {
    let labels = repeated(labels, draws)?.f_unsqueeze(1)?;
    let log_probabilities = log_probabilities(scores, &labels)?;
    log_probabilities
        .f_view([inputs, draws])?
        .f_logsumexp([1].as_slice(), false)?
        .f_neg()?
        .f_add_scalar((draws as f64).ln())
}

/// Returns log softmax(scores) at the label of each row, of shape (rows, 1).
fn log_probabilities(scores: &Tensor, labels: &Tensor) -> Result<Tensor, TchError> {
    scores
        .f_log_softmax(-1, scores.kind())?
        .f_gather(1, labels, false)
}
