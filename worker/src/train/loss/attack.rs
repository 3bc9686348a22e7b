//! SmoothAdv-PGD (Salman et al. 2019, section 3): projected gradient ascent on the loss of the
//! smoothed classifier.

use tch::{Kind, TchError, Tensor};

use super::{Batch, Scores, noisy, surprise};

/// Below this a gradient has no direction: such an image stays where it is, and the loss sees it
/// unmoved. So it is with one whose label has, in floating point, a probability of 1 under every
/// draw.
const LEAST_NORM: f64 = 1e-12;

/// Moves each image, by at most `epsilon` in L2 and within \[0, 1\], to where the soft smoothed
/// classifier gives its label little probability: steepest ascent of -log of the mean over the
/// draws of softmax(f(x + sigma·eps))_y, with the same draws at every step, `steps` steps of length
/// 2·epsilon/steps (equation 6 of the paper and the text after it).
pub(super) fn attack(
    frozen: &Scores,
    batch: &Batch,
    noise: &Tensor,
    draws: i64,
    steps: u32,
    epsilon: f64,
) -> Result<Tensor, TchError> {
    let images = batch.images.f_detach()?;
    let inputs = images.size()[0];
    let mut moved = images.shallow_clone();
    for _ in 0..steps {
        let at = moved.f_detach()?.f_set_requires_grad(true)?;
        let scores = frozen(&noisy(&at, batch.sigma, noise, draws)?)?;
        let loss = surprise(&scores, batch.labels, inputs, draws)?.f_sum(None::<Kind>)?;
        let gradient = Tensor::f_run_backward(&[loss], &[&at], false, false)?.remove(0);
        let step = gradient.f_div(&norms(&gradient)?.f_clamp_min(LEAST_NORM)?)?;
        let offset = moved
            .f_add(&step.f_mul_scalar(2.0 * epsilon / f64::from(steps))?)?
            .f_sub(&images)?;
        // Shrunk to the ball where it lies outside; an offset of 0 stays.
        let shrink = norms(&offset)?
            .f_clamp_min(LEAST_NORM)?
            .f_reciprocal()?
            .f_mul_scalar(epsilon)?
            .f_clamp_max(1.0)?;
        moved = images.f_add(&offset.f_mul(&shrink)?)?.f_clamp(0.0, 1.0)?;
    }
    Ok(moved)
}

/// The L2 norm of each image, of shape (B, 1, 1, 1).
fn norms(images: &Tensor) -> Result<Tensor, TchError> {
    let all: Vec<i64> = (1..images.dim() as i64).collect();
    images
        .f_square()?
        .f_sum_dim_intlist(&all[..], true, None)?
        .f_sqrt()
}
