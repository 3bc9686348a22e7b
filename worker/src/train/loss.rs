//! The functions that training minimises: the losses of Cohen et al. (2019), Salman et al. (2019)
//! and Zhai et al. (2020), each with a separate sigma for each input, and that of a selector.
//!
//! They are pure functions of tensors: the network is a function from images to scores, and the
//! noise is an argument. The tests can therefore compare each gradient with finite differences in
//! double precision.

mod attack;
mod macer;
mod selector;
#[cfg(test)]
mod tests;

use ddrs_common::spec::Loss;
use macer::MacerWeights;
use tch::{Kind, Reduction, TchError, Tensor};

use crate::soft_classifier::{negative_log_likelihood, noisy, repeated, smoothed};

/// A function from images of shape (B, …) to scores of shape (B, classes).
pub(super) type ScoreFn<'a> = dyn Fn(&Tensor) -> Result<Tensor, TchError> + 'a;

/// The inputs of a step.
#[derive(Debug)]
pub(super) struct TrainingBatch<'a> {
    /// (B, channels, height, width), in \[0, 1\].
    pub(super) images: &'a Tensor,
    /// (B), the true classes; of a selector (B, levels), the radius that each level certifies.
    pub(super) labels: &'a Tensor,
    /// (B), the standard deviation of each input's noise.
    pub(super) sigma: &'a Tensor,
}

impl TrainingBatch<'_> {
    fn len(&self) -> i64 {
        self.images.size()[0]
    }
}

/// The loss of a step.
#[derive(Debug)]
pub(super) struct LossValue {
    /// The mean over the inputs, differentiable in the network's weights.
    pub(super) loss: Tensor,
    /// The number of inputs that the noisy classifier classifies correctly, or with several draws
    /// the smoothed classifier: one number, which a GPU may not have computed yet. Of a selector,
    /// the sum of the radii of the levels that it gives.
    pub(super) correct: Tensor,
}

/// Computes the loss over a batch.
///
/// `learning` maps images to scores that are differentiable in the weights, `frozen` to scores that
/// are differentiable in the images alone. `noise` has shape (B · draws, channels, height, width)
/// and unit deviation, with the draws of an input next to each other. `epsilon` is the largest L2
/// distance of an attack in this epoch.
pub(super) fn loss(
    loss: Loss,
    learning: &ScoreFn,
    frozen: &ScoreFn,
    batch: &TrainingBatch,
    noise: &Tensor,
    epsilon: f64,
) -> Result<LossValue, TchError> {
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
            let weights = MacerWeights {
                beta,
                gamma,
                lambda,
            };
            macer::loss(&scores, batch, draws, weights)
        }
        Loss::Selector => {
            let scores = learning(&noisy(batch.images, batch.sigma, noise, draws)?)?;
            selector::loss(&scores, batch)
        }
    }
}

/// Returns the mean cross-entropy of each draw with the input's label (Cohen et al. 2019, section
/// 3.3).
fn cross_entropy(
    learning: &ScoreFn,
    images: &Tensor,
    batch: &TrainingBatch,
    noise: &Tensor,
    draws: i64,
) -> Result<LossValue, TchError> {
    let scores = learning(&noisy(images, batch.sigma, noise, draws)?)?;
    let labels = repeated(batch.labels, draws)?;
    let loss = mean_cross_entropy(&scores, &labels)?;
    let correct = smoothed_correct(&scores, batch, draws)?;
    Ok(LossValue { loss, correct })
}

fn mean_cross_entropy(scores: &Tensor, labels: &Tensor) -> Result<Tensor, TchError> {
    scores.f_cross_entropy_loss(labels, None::<&Tensor>, Reduction::Mean, -100, 0.0)
}

/// Counts the inputs that the soft smoothed classifier classifies correctly.
fn smoothed_correct(
    scores: &Tensor,
    batch: &TrainingBatch,
    draws: i64,
) -> Result<Tensor, TchError> {
    let probabilities = smoothed(&scores.f_detach()?, batch.len(), draws)?;
    count_correct(&probabilities, batch.labels)
}

/// Counts the rows whose largest entry is at their label, or sums the radii at their largest
/// entries: one number.
pub(super) fn count_correct(probabilities: &Tensor, labels: &Tensor) -> Result<Tensor, TchError> {
    if labels.dim() == 2 {
        let given = probabilities.f_argmax(-1, true)?;
        return labels.f_gather(1, &given, false)?.f_sum(Kind::Double);
    }
    let given = probabilities.f_argmax(-1, false)?;
    given.f_eq_tensor(labels)?.f_sum(Kind::Int64)
}
