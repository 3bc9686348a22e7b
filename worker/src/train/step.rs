//! One step: sigma's ascent where it is due, then the loss under fresh noise, then the weights.

use anyhow::{Context, Result};
use ddrs_common::spec::{Loss, Training, TrainingChoice};
use tch::{Device, Kind, Tensor};

use super::checkpoint::State;
use super::examples::Examples;
use super::loss::{self, Batch};
use super::network::Mode;
use super::seed::{Purpose, seed};
use crate::sigma::ascend;

/// What a step came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    /// The mean over the batch.
    pub(super) loss: f64,
    /// Inputs classified rightly under noise.
    pub(super) correct: i64,
}

/// Takes the examples at `places` through one step at learning rate `rate`. Their sigmas are in `state` before and after.
/// Where the loss is not finite, weights stay as they are.
///
/// # Errors
/// When a sigma's derivative is not finite; what torch reports.
pub(super) fn step(
    spec: &Training,
    examples: &Examples,
    state: &mut State,
    places: &[usize],
    rate: f64,
    device: Device,
) -> Result<Value> {
    let (epoch, number) = (state.position.epoch, state.position.step);
    let augmentation = (spec.augmentation, seed(spec.seed, Purpose::Augmentation, epoch, number));
    let (images, labels) = examples.batch(places, Some(augmentation), device)?;
    if let TrainingChoice::DataDependent { from_epoch, .. } = &spec.sigma.choice
        && epoch >= *from_epoch
    {
        move_sigmas(spec, state, &images, places)?;
    }
    let sigma: Vec<f32> = places.iter().map(|&place| state.sigma[place] as f32).collect();
    let sigma = Tensor::f_from_slice(&sigma)?.f_to(device)?;
    seed_torch(spec.seed, Purpose::Noise, epoch, number);
    let noise = draw(&images, i64::from(spec.loss.draws()))?;
    let network = &state.network;
    let value = loss::loss(
        spec.loss,
        &|images| network.scores(images, Mode::Learning),
        &|images| network.scores(images, Mode::Frozen),
        &Batch { images: &images, labels: &labels, sigma: &sigma },
        &noise,
        epsilon(spec.loss, epoch),
    )?;
    let loss = f64::try_from(value.loss.f_detach()?.f_to_kind(Kind::Double)?)?;
    if loss.is_finite() {
        state.optimiser.step(network, &value.loss, rate, &spec.optimiser)?;
    }
    Ok(Value { loss, correct: value.correct })
}

/// Algorithm 1 for the batch, by the certifier's own optimiser: from each input's sigma, on a frozen network.
fn move_sigmas(spec: &Training, state: &mut State, images: &Tensor, places: &[usize]) -> Result<()> {
    let TrainingChoice::DataDependent { ascent, .. } = &spec.sigma.choice else { return Ok(()) };
    let (epoch, number) = (state.position.epoch, state.position.step);
    let from: Vec<f64> = places.iter().map(|&place| state.sigma[place]).collect();
    seed_torch(spec.seed, Purpose::Sigma, epoch, number);
    let noise = |_| draw(images, i64::from(ascent.draws));
    let network = &state.network;
    let scores = |batch: &Tensor| network.scores(batch, Mode::Frozen);
    let moved = ascend(images, &from, ascent, &scores, noise)?;
    for (&place, sigma) in places.iter().zip(moved) {
        state.sigma[place] = sigma.with_context(|| {
            format!("sigma's derivative is not finite at epoch {epoch}, step {number}, for training sample {place}")
        })?;
    }
    Ok(())
}

/// Standard normal values for `draws` draws of each image.
fn draw(images: &Tensor, draws: i64) -> Result<Tensor, tch::TchError> {
    let mut shape = images.size();
    shape[0] *= draws;
    Tensor::f_randn(&shape[..], (images.kind(), images.device()))
}

/// Makes torch's generators, on every device, a function of what is drawn and when.
pub(super) fn seed_torch(training: u64, purpose: Purpose, epoch: u64, step: u64) {
    tch::manual_seed(seed(training, purpose, epoch, step) as i64);
}

/// How far the attack goes in an epoch: in a line up to its value over the first `warm_up` (Salman et al. 2019,
/// appendix).
fn epsilon(loss: Loss, epoch: u64) -> f64 {
    match loss {
        Loss::SmoothAdv { epsilon, warm_up, .. } if epoch < warm_up => epsilon * (epoch + 1) as f64 / warm_up as f64,
        Loss::SmoothAdv { epsilon, .. } => epsilon,
        Loss::Gaussian | Loss::Macer { .. } => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epsilon_grows_to_its_value_and_stays() {
        let loss = Loss::SmoothAdv { draws: 1, steps: 1, epsilon: 0.5, warm_up: 4 };
        assert_eq!([0, 1, 2, 3, 4, 50].map(|epoch| epsilon(loss, epoch)), [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]);
        assert_eq!(epsilon(Loss::SmoothAdv { draws: 1, steps: 1, epsilon: 0.5, warm_up: 0 }, 0), 0.5);
    }
}
