//! The groups of a batch, which threads compute in parallel, with everything that is drawn for
//! them.

use std::ops::Range;

use anyhow::Result;
use ddrs_common::spec::{Training, TrainingChoice};
use tch::{TchError, Tensor};

use super::StepInputs;
use crate::train::checkpoint::{Position, TrainingState};
use crate::train::network::TrainableNetwork;
use crate::train::seed::{Purpose, seed};

/// A part of a batch that one thread computes. Its inputs share the statistics of batch
/// normalisation.
pub(super) struct BatchGroup {
    /// The network with separate running statistics.
    pub(super) network: TrainableNetwork,
    pub(super) images: Tensor,
    pub(super) labels: Tensor,
    pub(super) sigma: Vec<f64>,
    /// The noise of each step of sigma's ascent; empty where the sigmas do not move.
    pub(super) ascent: Vec<Tensor>,
    pub(super) noise: Tensor,
}

/// Everything that is drawn for a batch, with the draws of an input next to each other.
struct BatchNoise {
    /// One tensor per step of sigma's ascent; empty where the sigmas do not move.
    ascent: Vec<Tensor>,
    /// Draws per input in each tensor of `ascent`.
    ascent_draws: i64,
    loss: Tensor,
    /// Draws per input in `loss`.
    loss_draws: i64,
}

/// Cuts a batch into groups and draws their noise. The noise is drawn for the whole batch, so it
/// does not depend on the grouping.
pub(super) fn groups(
    spec: &Training,
    state: &TrainingState,
    inputs: &StepInputs,
) -> Result<Vec<BatchGroup>> {
    let noise = BatchNoise::draw(spec, &inputs.images, &state.position)?;
    let size = spec.group.get() as usize;
    let count = inputs.places.len();
    (0..count)
        .step_by(size)
        .map(|first| group(state, inputs, &noise, first..(first + size).min(count)))
        .collect()
}

fn group(
    state: &TrainingState,
    inputs: &StepInputs,
    noise: &BatchNoise,
    rows: Range<usize>,
) -> Result<BatchGroup> {
    let places = inputs.places[rows.clone()].iter();
    Ok(BatchGroup {
        network: state.network.with_own_statistics()?,
        images: rows_of(&inputs.images, &rows, 1)?,
        labels: rows_of(&inputs.labels, &rows, 1)?,
        sigma: places.map(|&place| state.sigma[place]).collect(),
        ascent: noise.ascent_of(&rows)?,
        noise: rows_of(&noise.loss, &rows, noise.loss_draws)?,
    })
}

/// Returns the part of a tensor that belongs to these inputs, with `draws` rows per input.
fn rows_of(tensor: &Tensor, rows: &Range<usize>, draws: i64) -> Result<Tensor, TchError> {
    tensor.f_narrow(0, rows.start as i64 * draws, rows.len() as i64 * draws)
}

impl BatchNoise {
    /// Returns the noise of sigma's ascent for these inputs.
    fn ascent_of(&self, rows: &Range<usize>) -> Result<Vec<Tensor>, TchError> {
        let steps = self.ascent.iter();
        steps
            .map(|step| rows_of(step, rows, self.ascent_draws))
            .collect()
    }

    fn draw(spec: &Training, images: &Tensor, position: &Position) -> Result<Self, TchError> {
        let (ascent, ascent_draws) = ascent_noise(spec, images, position)?;
        let loss_draws = i64::from(spec.loss.draws());
        seed_torch(spec.seed, Purpose::Noise, position.epoch, position.step);
        Ok(Self {
            ascent,
            ascent_draws,
            loss: draw(images, loss_draws)?,
            loss_draws,
        })
    }
}

/// Draws the noise of every step of sigma's ascent. Also returns the number of draws per input.
fn ascent_noise(
    spec: &Training,
    images: &Tensor,
    &Position { epoch, step, .. }: &Position,
) -> Result<(Vec<Tensor>, i64), TchError> {
    match &spec.sigma.choice {
        TrainingChoice::DataDependent { from_epoch, ascent } if epoch >= *from_epoch => {
            seed_torch(spec.seed, Purpose::Sigma, epoch, step);
            let draws = i64::from(ascent.draws);
            Ok((draw_steps(images, draws, ascent.iterations)?, draws))
        }
        TrainingChoice::DataDependent { .. } | TrainingChoice::Fixed => Ok((Vec::new(), 0)),
    }
}

/// Draws one tensor of noise per step.
fn draw_steps(images: &Tensor, draws: i64, steps: u32) -> Result<Vec<Tensor>, TchError> {
    (0..steps).map(|_| draw(images, draws)).collect()
}

/// Draws standard normal values, `draws` times the shape of each image.
fn draw(images: &Tensor, draws: i64) -> Result<Tensor, TchError> {
    let mut shape = images.size();
    shape[0] *= draws;
    Tensor::f_randn(&shape[..], (images.kind(), images.device()))
}

/// Seeds torch's generators, on every device, for one purpose at one time.
pub(in crate::train) fn seed_torch(training: u64, purpose: Purpose, epoch: u64, step: u64) {
    tch::manual_seed(seed(training, purpose, epoch, step) as i64);
}
