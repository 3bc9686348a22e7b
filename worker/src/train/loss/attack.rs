//! SmoothAdv-PGD (Salman et al. 2019, section 3): projected gradient ascent on the loss of the
//! smoothed classifier.

use tch::{Kind, TchError, Tensor};

use super::{ScoreFn, TrainingBatch, negative_log_likelihood, noisy};

/// The smallest norm of a gradient that has a direction. An image with a smaller gradient does not
/// move, for instance one whose label has, in floating point, a probability of 1 under every draw.
const MIN_NORM: f64 = 1e-12;

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
    let length = 2.0 * epsilon / f64::from(steps);
    let mut moved = images.shallow_clone();
    for _ in 0..steps {
        let gradient = gradient(frozen, &moved, batch, noise, draws)?;
        moved = limit(&ascend(&moved, &gradient, length)?, &images, epsilon)?;
    }
    Ok(moved)
}

/// Moves each image by `length` along its gradient.
fn ascend(images: &Tensor, gradient: &Tensor, length: f64) -> Result<Tensor, TchError> {
    images.f_add(&unit(gradient)?.f_mul_scalar(length)?)
}

/// Returns the images within `epsilon` of the originals, and within \[0, 1\].
fn limit(moved: &Tensor, images: &Tensor, epsilon: f64) -> Result<Tensor, TchError> {
    let offset = project(&moved.f_sub(images)?, epsilon)?;
    images.f_add(&offset)?.f_clamp(0.0, 1.0)
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
    derivative(&loss.f_sum(None::<Kind>)?, &leaf)
}

fn derivative(loss: &Tensor, leaf: &Tensor) -> Result<Tensor, TchError> {
    Ok(Tensor::f_run_backward(&[loss], &[leaf], false, false)?.remove(0))
}

/// Scales each gradient to an L2 norm of 1.
fn unit(gradient: &Tensor) -> Result<Tensor, TchError> {
    gradient.f_div(&norms(gradient)?.f_clamp_min(MIN_NORM)?)
}

/// Scales offsets outside the ball of radius `epsilon` to its surface. An offset of 0 stays.
fn project(offset: &Tensor, epsilon: f64) -> Result<Tensor, TchError> {
    let scale = norms(offset)?
        .f_clamp_min(MIN_NORM)?
        .f_reciprocal()?
        .f_mul_scalar(epsilon)?
        .f_clamp_max(1.0)?;
    offset.f_mul(&scale)
}

/// Returns the L2 norm of each image, of shape (B, 1, 1, 1).
fn norms(images: &Tensor) -> Result<Tensor, TchError> {
    let all: Vec<i64> = (1..images.dim() as i64).collect();
    images
        .f_square()?
        .f_sum_dim_intlist(&all[..], true, None)?
        .f_sqrt()
}
