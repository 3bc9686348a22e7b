//! One step: move the sigmas where that is due, compute the loss under fresh noise, and update the
//! weights.

mod group;

use anyhow::Result;
use ddrs_common::spec::{DataDependentSpec, Loss, Training, TrainingChoice};
use tch::{Device, Kind, TchError, Tensor};

use super::checkpoint::{Position, TrainingState};
use super::group_threads::GroupThreads;
use super::loss::{self, LossValue, ScoreFn, TrainingBatch};
use super::network::{Mode, TrainableNetwork, flatten};
use super::non_finite::NonFinite;
use crate::device::move_to;
use crate::sigma::ascend;
use group::{BatchGroup, groups};

pub(super) use group::seed_torch;

/// The result of a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepResult {
    /// The mean over the batch.
    pub(super) loss: f64,
    /// The number of inputs classified correctly under noise; of a selector, the sum of the radii
    /// of the levels that it gives.
    pub(super) correct: f64,
}

impl StepResult {
    /// Combines the results of groups. They are of equal size, so the mean of their means is the
    /// mean of the batch.
    fn of(groups: &[GroupResult]) -> Self {
        Self {
            loss: mean_loss(groups),
            correct: groups.iter().map(|group| group.correct).sum(),
        }
    }
}

fn mean_loss(groups: &[GroupResult]) -> f64 {
    let sum = groups.iter().map(|group| group.loss).sum::<f64>();
    sum / groups.len() as f64
}

/// The parts of a training that no step changes.
#[derive(Debug)]
pub(super) struct StepContext<'a> {
    pub(super) spec: &'a Training,
    pub(super) threads: &'a GroupThreads,
}

/// The batch of a step.
#[derive(Debug)]
pub(super) struct StepInputs<'a> {
    /// The places of its B examples, by which the state has their sigmas.
    pub(super) places: &'a [usize],
    /// (B, channels, height, width), augmented.
    pub(super) images: Tensor,
    /// (B).
    pub(super) labels: Tensor,
}

/// The result of a group.
struct GroupResult {
    network: TrainableNetwork,
    loss: f64,
    correct: f64,
    /// `None` for a sigma whose derivative was not finite.
    sigma: Vec<Option<f64>>,
    /// The gradient of the group's mean loss, in the order of [`TrainableNetwork::learned`].
    gradient: Tensor,
}

/// Takes a batch through one step at learning rate `rate`, and updates the sigmas of its examples.
/// If the loss is not finite, the weights stay as they are.
///
/// # Errors
/// [`NonFinite`] when a derivative by sigma is not finite.
pub(super) fn step(
    context: &StepContext,
    state: &mut TrainingState,
    inputs: &StepInputs,
    rate: f64,
) -> Result<StepResult> {
    let StepContext { spec, threads } = *context;
    let epsilon = epsilon(spec.loss, state.position.epoch);
    let groups = groups(spec, state, inputs)?;
    let results = threads.map(groups, |group| compute(spec, group, epsilon))?;
    store_sigmas(spec, state, inputs.places, &results)?;
    let result = StepResult::of(&results);
    if result.loss.is_finite() {
        update_weights(spec, state, results, rate)?;
    }
    Ok(result)
}

fn store_sigmas(
    spec: &Training,
    state: &mut TrainingState,
    places: &[usize],
    results: &[GroupResult],
) -> Result<()> {
    let sigmas = results.iter().flat_map(|group| &group.sigma);
    for (&place, sigma) in places.iter().zip(sigmas) {
        state.sigma[place] = sigma.ok_or_else(|| sigma_not_finite(spec, place, &state.position))?;
    }
    Ok(())
}

fn sigma_not_finite(spec: &Training, place: usize, position: &Position) -> NonFinite {
    let sample = spec.dataset.selection.index(place as u64);
    let what = format!("the derivative by sigma for training sample {sample} is not finite");
    NonFinite::before_update(what, position)
}

fn update_weights(
    spec: &Training,
    state: &mut TrainingState,
    results: Vec<GroupResult>,
    rate: f64,
) -> Result<(), TchError> {
    let (networks, gradients) = networks_and_gradients(results);
    state.network.average_statistics(&networks)?;
    let gradient = mean(gradients)?;
    state
        .optimiser
        .step(&state.network, &gradient, rate, &spec.optimiser)
}

fn networks_and_gradients(results: Vec<GroupResult>) -> (Vec<TrainableNetwork>, Vec<Tensor>) {
    results
        .into_iter()
        .map(|group| (group.network, group.gradient))
        .unzip()
}

/// Moves the sigmas of a group, then computes the loss at the new sigmas and its gradient.
fn compute(spec: &Training, mut group: BatchGroup, epsilon: f64) -> Result<GroupResult> {
    let sigma = move_sigmas(spec, &mut group)?;
    let value = group_loss(spec.loss, &group, &sigma, epsilon)?;
    let gradient = gradient(&group.network, &value.loss)?;
    // Values are read only now, so that a GPU can compute the whole step meanwhile.
    let loss = number(&value.loss)?;
    Ok(GroupResult {
        loss,
        correct: number(&value.correct)?,
        sigma,
        gradient,
        network: group.network,
    })
}

/// Reads a tensor of one number.
fn number(tensor: &Tensor) -> Result<f64, TchError> {
    f64::try_from(tensor.f_detach()?.f_to_kind(Kind::Double)?)
}

/// Returns the gradient of the loss by all weights, in their order.
fn gradient(network: &TrainableNetwork, loss: &Tensor) -> Result<Tensor, TchError> {
    let weights: Vec<&Tensor> = network.weights().collect();
    flatten(&Tensor::f_run_backward(&[loss], &weights, false, false)?)
}

fn group_loss(
    loss: Loss,
    group: &BatchGroup,
    sigma: &[Option<f64>],
    epsilon: f64,
) -> Result<LossValue, TchError> {
    let sigma = sigma_tensor(sigma, group.images.device())?;
    let batch = TrainingBatch {
        images: &group.images,
        labels: &group.labels,
        sigma: &sigma,
    };
    let learning = |images: &Tensor| group.network.scores(images, Mode::Learning);
    let frozen = |images: &Tensor| group.network.scores(images, Mode::Frozen);
    loss::loss(loss, &learning, &frozen, &batch, &group.noise, epsilon)
}

/// Returns the sigmas as a tensor. A missing sigma (`None`) stops training after this step; NaN is
/// only a placeholder.
fn sigma_tensor(sigma: &[Option<f64>], device: Device) -> Result<Tensor, TchError> {
    let sigma = sigma.iter().map(|sigma| sigma.unwrap_or(f64::NAN) as f32);
    let sigma: Vec<f32> = sigma.collect();
    move_to(device, Tensor::f_from_slice(&sigma)?)
}

/// Runs Algorithm 1 for a group with the certifier's optimiser, on the frozen network, starting at
/// each input's sigma.
fn move_sigmas(spec: &Training, group: &mut BatchGroup) -> Result<Vec<Option<f64>>> {
    let noise = std::mem::take(&mut group.ascent);
    match &spec.sigma.choice {
        TrainingChoice::DataDependent { ascent, .. } if !noise.is_empty() => {
            Ok(run_ascent(ascent, group, noise)?)
        }
        TrainingChoice::DataDependent { .. } | TrainingChoice::Fixed => Ok(unmoved(group)),
    }
}

fn unmoved(group: &BatchGroup) -> Vec<Option<f64>> {
    group.sigma.iter().copied().map(Some).collect()
}

fn run_ascent(
    ascent: &DataDependentSpec,
    group: &BatchGroup,
    noise: Vec<Tensor>,
) -> Result<Vec<Option<f64>>, TchError> {
    let mut noise = noise.into_iter();
    let missing = || TchError::Shape("fewer draws than steps".to_owned());
    let frozen: &ScoreFn = &|images| group.network.scores(images, Mode::Frozen);
    let next = |_| noise.next().ok_or_else(missing);
    ascend(&group.images, &group.sigma, ascent, frozen, next)
}

/// Returns the mean of the groups' gradients.
fn mean(groups: Vec<Tensor>) -> Result<Tensor, TchError> {
    let count = groups.len();
    let mut sum = sum(groups)?;
    sum.f_div_scalar_(count as f64)
}

fn sum(groups: Vec<Tensor>) -> Result<Tensor, TchError> {
    let mut groups = groups.into_iter();
    let first = groups.next();
    let mut sum = first.ok_or_else(|| TchError::Shape("a batch without groups".to_owned()))?;
    for gradient in groups {
        let _ = sum.f_add_(&gradient)?;
    }
    Ok(sum)
}

/// Returns the largest distance of the attack in an epoch. It grows linearly to its value over the
/// first `warm_up` epochs (Salman et al. 2019, appendix).
fn epsilon(loss: Loss, epoch: u64) -> f64 {
    match loss {
        Loss::SmoothAdv {
            epsilon, warm_up, ..
        } if epoch < warm_up => epsilon * (epoch + 1) as f64 / warm_up as f64,
        Loss::SmoothAdv { epsilon, .. } => epsilon,
        Loss::Gaussian | Loss::Macer { .. } | Loss::Selector => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smoothadv(warm_up: u64) -> Loss {
        Loss::SmoothAdv {
            draws: 1,
            steps: 1,
            epsilon: 0.5,
            warm_up,
        }
    }

    #[test]
    fn epsilon_grows_to_its_value_and_stays() {
        assert_eq!(
            [0, 1, 2, 3, 4, 50].map(|epoch| epsilon(smoothadv(4), epoch)),
            [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
        );
        assert_eq!(epsilon(smoothadv(0), 0), 0.5);
    }
}
