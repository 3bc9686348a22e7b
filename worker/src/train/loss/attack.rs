//! SmoothAdv-PGD (Salman et al. 2019, section 3): projected gradient ascent on the loss of the
//! smoothed classifier.

use tch::{TchError, Tensor};

use super::{ScoreFn, TrainingBatch, negative_log_likelihood, noisy};
use crate::projected_ascent::{ImageBall, derivative};

/// Moves each image to where the soft smoothed classifier gives its label little probability, by at
/// most `epsilon` in L2 and within \[0, 1\].
///
/// This is steepest ascent of -log of the mean over the draws of softmax(f(x + sigma·eps))_y, with
/// the same draws in every step: `steps` steps of length 2·epsilon/steps (equation 6 of the paper
/// and the text after it).
pub(super) fn attack(
    frozen: &ScoreFn,
    batch: &TrainingBatch,
    noise: &Tensor,
    draws: i64,
    steps: u32,
    epsilon: f64,
) -> Result<Tensor, TchError> {
    let images = batch.images.f_detach()?;
    let ball = ImageBall {
        images: &images,
        radius: epsilon,
    };
    let length = 2.0 * epsilon / f64::from(steps);
    ball.ascend(images.shallow_clone(), steps, length, |_, moved| {
        gradient(frozen, moved, batch, noise, draws)
    })
}

/// Returns the gradient of the loss by each image, at `images`.
fn gradient(
    frozen: &ScoreFn,
    images: &Tensor,
    batch: &TrainingBatch,
    noise: &Tensor,
    draws: i64,
) -> Result<Tensor, TchError> {
    let leaf = images.f_detach()?.f_set_requires_grad(true)?;
    let scores = frozen(&noisy(&leaf, batch.sigma, noise, draws)?)?;
    let loss = negative_log_likelihood(&scores, batch.labels, batch.len(), draws)?;
    derivative(&loss, &leaf)
}
