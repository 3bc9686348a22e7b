//! What training minimises: the losses of Cohen et al. (2019), Salman et al. (2019) and Zhai et al.
//! (2020), each with one sigma for each input.
//!
//! Pure functions of tensors: a network is what maps images to scores, noise is given. So the tests
//! can compare each gradient with finite differences in double precision.

mod attack;
mod macer;
#[cfg(test)]
mod tests;

use ddrs_common::spec::Loss;
use tch::{Kind, Reduction, TchError, Tensor};

/// What maps images of shape (B, …) to scores of shape (B, classes).
pub type Scores<'a> = dyn Fn(&Tensor) -> Result<Tensor, TchError> + 'a;

/// The inputs of a step.
#[derive(Debug)]
pub struct Batch<'a> {
    /// (B, channels, height, width), in \[0, 1\].
    pub images: &'a Tensor,
    /// (B), the true classes.
    pub labels: &'a Tensor,
    /// (B), the standard deviation of each input's noise.
    pub sigma: &'a Tensor,
}

/// A step's loss.
#[derive(Debug)]
pub struct Value {
    /// The mean over the inputs, differentiable in the network's weights.
    pub loss: Tensor,
    /// How many inputs the noisy (for several draws: the smoothed) classifier gets right: one
    /// integer, perhaps not yet computed.
    pub correct: Tensor,
}

/// The loss over a batch. `learning` maps images to scores differentiably in the weights, `frozen`
/// in the images alone; `noise` has shape (B · draws, channels, height, width) and unit deviation,
/// the draws of an input side by side; `epsilon` is how far an attack may go in this epoch, in L2.
///
/// # Errors
/// What torch reports.
pub fn loss(
    loss: Loss,
    learning: &Scores,
    frozen: &Scores,
    batch: &Batch,
    noise: &Tensor,
    epsilon: f64,
) -> Result<Value, TchError> {
    let draws = i64::from(loss.draws());
    match loss {
        Loss::Gaussian => cross_entropy(learning, batch.images, batch, noise, draws),
        Loss::SmoothAdv { steps, .. } => {
            let moved = attack::attack(frozen, batch, noise, draws, steps, epsilon)?;
            cross_entropy(learning, &moved, batch, noise, draws)
        }
        Loss::Macer {
            beta,
            gamma,
            lambda,
            ..
        } => {
            let scores = learning(&noisy(batch.images, batch.sigma, noise, draws)?)?;
            macer::loss(
                &scores,
                batch,
                draws,
                macer::Weights {
                    beta,
                    gamma,
                    lambda,
                },
            )
        }
    }
}

/// Mean cross-entropy of each draw with the input's label (Cohen et al. 2019, section 3.3).
fn cross_entropy(
    learning: &Scores,
    images: &Tensor,
    batch: &Batch,
    noise: &Tensor,
    draws: i64,
) -> Result<Value, TchError> {
    let scores = learning(&noisy(images, batch.sigma, noise, draws)?)?;
    let labels = repeated(batch.labels, draws)?;
    let loss = scores.f_cross_entropy_loss(&labels, None::<&Tensor>, Reduction::Mean, -100, 0.0)?;
    let probabilities = smoothed(&scores.f_detach()?, batch.images.size()[0], draws)?;
    Ok(Value {
        loss,
        correct: correct(&probabilities, batch.labels)?,
    })
}

/// x + sigma·eps: every input `draws` times, side by side.
fn noisy(images: &Tensor, sigma: &Tensor, noise: &Tensor, draws: i64) -> Result<Tensor, TchError> {
    let mut each = vec![1; images.dim()];
    each[0] = -1;
    let sigma = repeated(sigma, draws)?.f_view(&each[..])?;
    repeated(images, draws)?.f_add(&noise.f_mul(&sigma)?)
}

/// Each entry `draws` times, side by side.
fn repeated(tensor: &Tensor, draws: i64) -> Result<Tensor, TchError> {
    if draws == 1 {
        Ok(tensor.shallow_clone())
    } else {
        tensor.f_repeat_interleave_self_int(draws, 0, None)
    }
}

/// The soft smoothed classifier: softmax, averaged over an input's draws. (B, classes).
fn smoothed(scores: &Tensor, inputs: i64, draws: i64) -> Result<Tensor, TchError> {
    let kind = scores.kind();
    scores
        .f_softmax(-1, kind)?
        .f_view([inputs, draws, -1])?
        .f_mean_dim(1, false, kind)
}

/// -log of the mean over an input's draws of softmax(scores)_y, (B). In logarithms throughout: a
/// network that has seen nothing yet gives a label a probability that is 0 in single precision,
/// whose logarithm has no gradient.
fn surprise(scores: &Tensor, labels: &Tensor, inputs: i64, draws: i64) -> Result<Tensor, TchError> {
    let labels = repeated(labels, draws)?.f_unsqueeze(1)?;
    let of_label = scores
        .f_log_softmax(-1, scores.kind())?
        .f_gather(1, &labels, false)?
        .f_view([inputs, draws])?;
    of_label
        .f_logsumexp([1].as_slice(), false)?
        .f_neg()?
        .f_add_scalar((draws as f64).ln())
}

/// How many rows are largest at their label.
fn correct(probabilities: &Tensor, labels: &Tensor) -> Result<Tensor, TchError> {
    probabilities
        .f_argmax(-1, false)?
        .f_eq_tensor(labels)?
        .f_sum(Kind::Int64)
}
