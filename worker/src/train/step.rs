//! One step: sigma's ascent where it is due, then the loss under fresh noise, then the weights.

mod group;

use anyhow::Result;
use ddrs_common::spec::{Loss, Training, TrainingChoice};
use tch::{Kind, TchError, Tensor};

use super::checkpoint::State;
use super::diverged::Diverged;
use super::lanes::Lanes;
use super::loss::{self, Batch};
use super::network::{Mode, Network, flat};
use crate::device::move_to;
use crate::sigma::ascend;
use group::{Group, groups};

pub(super) use group::seed_torch;

/// What a step came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    /// The mean over the batch.
    pub(super) loss: f64,
    /// Inputs classified rightly under noise.
    pub(super) correct: i64,
}

/// What does not change while training goes on.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    /// How to train.
    pub(super) spec: &'a Training,
    /// Where the groups of a batch are computed.
    pub(super) lanes: &'a Lanes,
}

/// A batch.
#[derive(Debug)]
pub(super) struct Inputs<'a> {
    /// The places of its B examples, whose sigmas the state has.
    pub(super) places: &'a [usize],
    /// (B, channels, height, width), augmented.
    pub(super) images: Tensor,
    /// (B).
    pub(super) labels: Tensor,
}

/// What a group came to.
struct Computed {
    network: Network,
    loss: f64,
    correct: i64,
    /// None for a sigma whose derivative was not finite.
    sigma: Vec<Option<f64>>,
    /// Of the group's mean loss, in the order of [`Network::learned`].
    gradient: Tensor,
}

/// Takes a batch through one step at learning rate `rate`. Its examples' sigmas are in `state`
/// before and after. Where the loss is not finite, weights stay as they are.
///
/// # Errors
/// [`Diverged`] when a sigma's derivative is not finite; what torch reports.
pub(super) fn step(
    setting: &Setting,
    state: &mut State,
    inputs: &Inputs,
    rate: f64,
) -> Result<Value> {
    let Setting { spec, lanes } = *setting;
    let groups = groups(spec, state, inputs)?;
    let epsilon = epsilon(spec.loss, state.position.epoch);
    let computed = lanes.map(groups, |group| compute(spec, group, epsilon))?;
    let sigmas = computed.iter().flat_map(|group| &group.sigma);
    for (&place, sigma) in inputs.places.iter().zip(sigmas) {
        let what = || {
            format!(
                "sigma's derivative for training sample {} is not finite",
                spec.dataset.selection.index(place as u64)
            )
        };
        state.sigma[place] = sigma.ok_or_else(|| Diverged::before(what(), &state.position))?;
    }
    // Groups are of one size, so the mean of their means is the batch's.
    let loss = computed.iter().map(|group| group.loss).sum::<f64>() / computed.len() as f64;
    let correct = computed.iter().map(|group| group.correct).sum();
    if loss.is_finite() {
        let (networks, gradients): (Vec<_>, Vec<_>) = computed
            .into_iter()
            .map(|group| (group.network, group.gradient))
            .unzip();
        state.network.average_statistics(&networks)?;
        state
            .optimiser
            .step(&state.network, &mean(gradients)?, rate, &spec.optimiser)?;
    }
    Ok(Value { loss, correct })
}

/// Sigma's ascent, the loss at the new sigmas, and its gradients.
fn compute(spec: &Training, group: Group, epsilon: f64) -> Result<Computed> {
    let Group {
        network,
        images,
        labels,
        sigma,
        ascent,
        noise,
    } = group;
    let frozen = |images: &Tensor| network.scores(images, Mode::Frozen);
    let sigma = move_sigmas(spec, &images, sigma, ascent, &frozen)?;
    // A sigma that is none ends training after this step; until then any number does.
    let each: Vec<f32> = sigma
        .iter()
        .map(|sigma| sigma.map_or(f32::NAN, |sigma| sigma as f32))
        .collect();
    let each = move_to(images.device(), Tensor::f_from_slice(&each)?)?;
    let value = loss::loss(
        spec.loss,
        &|images| network.scores(images, Mode::Learning),
        &frozen,
        &Batch {
            images: &images,
            labels: &labels,
            sigma: &each,
        },
        &noise,
        epsilon,
    )?;
    let weights: Vec<&Tensor> = network.learning().map(|(_, weight)| weight).collect();
    let gradient = flat(&Tensor::f_run_backward(
        &[&value.loss],
        &weights,
        false,
        false,
    )?)?;
    // Only now is anything read: a GPU has the whole step to compute meanwhile.
    let loss = f64::try_from(value.loss.f_detach()?.f_to_kind(Kind::Double)?)?;
    Ok(Computed {
        loss,
        correct: i64::try_from(&value.correct)?,
        sigma,
        gradient,
        network,
    })
}

/// Algorithm 1 for a group, by the certifier's own optimiser: from each input's sigma, on a frozen
/// network.
fn move_sigmas(
    spec: &Training,
    images: &Tensor,
    from: Vec<f64>,
    noise: Vec<Tensor>,
    frozen: &loss::Scores,
) -> Result<Vec<Option<f64>>> {
    match &spec.sigma.choice {
        TrainingChoice::DataDependent { ascent, .. } if !noise.is_empty() => {
            let mut noise = noise.into_iter();
            let next = |_| {
                noise
                    .next()
                    .ok_or_else(|| TchError::Shape("fewer draws than steps".to_owned()))
            };
            Ok(ascend(images, &from, ascent, frozen, next)?)
        }
        TrainingChoice::DataDependent { .. } | TrainingChoice::Fixed => {
            Ok(from.into_iter().map(Some).collect())
        }
    }
}

/// The mean of the groups' gradients.
fn mean(groups: Vec<Tensor>) -> Result<Tensor, TchError> {
    let count = groups.len();
    let mut groups = groups.into_iter();
    let mut sum = groups
        .next()
        .ok_or_else(|| TchError::Shape("a batch without groups".to_owned()))?;
    for gradient in groups {
        let _ = sum.f_add_(&gradient)?;
    }
    sum.f_div_scalar_(count as f64)
}

/// How far the attack goes in an epoch: in a line up to its value over the first `warm_up` (Salman
/// et al. 2019, appendix).
fn epsilon(loss: Loss, epoch: u64) -> f64 {
    match loss {
        Loss::SmoothAdv {
            epsilon, warm_up, ..
        } if epoch < warm_up => epsilon * (epoch + 1) as f64 / warm_up as f64,
        Loss::SmoothAdv { epsilon, .. } => epsilon,
        Loss::Gaussian | Loss::Macer { .. } => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epsilon_grows_to_its_value_and_stays() {
        let loss = Loss::SmoothAdv {
            draws: 1,
            steps: 1,
            epsilon: 0.5,
            warm_up: 4,
        };
        assert_eq!(
            [0, 1, 2, 3, 4, 50].map(|epoch| epsilon(loss, epoch)),
            [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
        );
        assert_eq!(
            epsilon(
                Loss::SmoothAdv {
                    draws: 1,
                    steps: 1,
                    epsilon: 0.5,
                    warm_up: 0
                },
                0
            ),
            0.5
        );
    }
}
