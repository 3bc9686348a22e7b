//! A batch, cut into the groups that are computed side by side, with all that is drawn for them.

use anyhow::Result;
use ddrs_common::spec::{Training, TrainingChoice};
use tch::{TchError, Tensor};

use super::Inputs;
use crate::train::checkpoint::{Position, State};
use crate::train::network::Network;
use crate::train::seed::{Purpose, seed};

/// A part of a batch that is computed by itself: its inputs share the statistics of batch
/// normalisation.
pub(super) struct Group {
    /// With running statistics of its own.
    pub(super) network: Network,
    pub(super) images: Tensor,
    pub(super) labels: Tensor,
    pub(super) sigma: Vec<f64>,
    /// Of each step of sigma's ascent; none where sigma stays.
    pub(super) ascent: Vec<Tensor>,
    pub(super) noise: Tensor,
}

/// The groups of a batch, with all that is drawn for them. The draws are the batch's, however it is
/// grouped.
pub(super) fn groups(spec: &Training, state: &State, inputs: &Inputs) -> Result<Vec<Group>> {
    let Position { epoch, step, .. } = state.position;
    let Inputs {
        places,
        images,
        labels,
    } = inputs;
    let (ascent, ascent_draws) = ascent_noise(spec, images, epoch, step)?;
    seed_torch(spec.seed, Purpose::Noise, epoch, step);
    let draws = i64::from(spec.loss.draws());
    let noise = draw(images, draws)?;
    let size = spec.group.get() as i64;
    let group = |(number, places): (i64, &[usize])| -> Result<Group> {
        let part = |tensor: &Tensor, draws| tensor.f_narrow(0, number * size * draws, size * draws);
        Ok(Group {
            network: state.network.apart()?,
            images: part(images, 1)?,
            labels: part(labels, 1)?,
            sigma: places.iter().map(|&place| state.sigma[place]).collect(),
            ascent: ascent
                .iter()
                .map(|noise| part(noise, ascent_draws))
                .collect::<Result<_, _>>()?,
            noise: part(&noise, draws)?,
        })
    };
    (0..).zip(places.chunks(size as usize)).map(group).collect()
}

/// The noise of every step of sigma's ascent and how many draws of an input it has; none where
/// sigma stays.
fn ascent_noise(
    spec: &Training,
    images: &Tensor,
    epoch: u64,
    step: u64,
) -> Result<(Vec<Tensor>, i64)> {
    match &spec.sigma.choice {
        TrainingChoice::DataDependent { from_epoch, ascent } if epoch >= *from_epoch => {
            seed_torch(spec.seed, Purpose::Sigma, epoch, step);
            let draws = i64::from(ascent.draws);
            let noise = (0..ascent.iterations)
                .map(|_| draw(images, draws))
                .collect::<Result<_, _>>()?;
            Ok((noise, draws))
        }
        TrainingChoice::DataDependent { .. } | TrainingChoice::Fixed => Ok((Vec::new(), 0)),
    }
}

/// Standard normal values for `draws` draws of each image.
fn draw(images: &Tensor, draws: i64) -> Result<Tensor, TchError> {
    let mut shape = images.size();
    shape[0] *= draws;
    Tensor::f_randn(&shape[..], (images.kind(), images.device()))
}

/// Makes torch's generators, on every device, a function of what is drawn and when.
pub(in crate::train) fn seed_torch(training: u64, purpose: Purpose, epoch: u64, step: u64) {
    tch::manual_seed(seed(training, purpose, epoch, step) as i64);
}
