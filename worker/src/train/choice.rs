//! Which epoch's weights are written: of those that trained as the specification says, the one with
//! the highest accuracy under noise on the validation samples.

use anyhow::Result;
use ddrs_common::spec::{Loss, Training, TrainingChoice};
use tch::{Kind, Tensor};

use super::checkpoint::Best;
use super::diverged::{Diverged, is_finite};
use super::epochs::Trainer;
use super::journal::Distribution;
use super::network::{self, Mode, Network};
use super::seed::Purpose;
use super::step::seed_torch;

impl Trainer<'_> {
    /// Accuracy under noise of the initial sigma, the same noise every time.
    ///
    /// # Errors
    /// [`Diverged`] when a score is not finite; what torch reports.
    pub(super) fn validate(&self) -> Result<f64> {
        let groups: Vec<(u64, &[usize])> = (0..)
            .zip(
                self.examples
                    .validation
                    .chunks(self.spec.group.get() as usize),
            )
            .collect();
        let mut correct = 0;
        // As many at a time as a step computes, which has taken more memory.
        for groups in groups.chunks(self.spec.batch.get().div_ceil(self.spec.group.get()) as usize)
        {
            let groups = groups
                .iter()
                .map(|&(number, places)| self.noisy(number, places))
                .collect::<Result<_>>()?;
            let right = self.lanes.map(groups, |(network, noisy, labels)| {
                let scores = tch::no_grad(|| network.scores(&noisy, Mode::Frozen))?;
                let correct = scores
                    .f_argmax(-1, false)?
                    .f_eq_tensor(&labels)?
                    .f_sum(Kind::Int64)?;
                Ok(if is_finite(&scores)? {
                    Some(i64::try_from(&correct)?)
                } else {
                    None
                })
            })?;
            let Some(right) = right.into_iter().sum::<Option<i64>>() else {
                let what = "scores of validation samples are not finite".to_owned();
                return Err(Diverged::after(what, &self.state.position).into());
            };
            correct += right;
        }
        Ok(correct as f64 / self.examples.validation.len() as f64)
    }

    /// The network, and a group of validation samples with its noise and its labels.
    fn noisy(&self, number: u64, places: &[usize]) -> Result<(Network, Tensor, Tensor)> {
        let (images, labels) = self.examples.batch(places, self.device)?;
        seed_torch(self.spec.seed, Purpose::Evaluation, 0, number);
        let noise = images
            .f_randn_like()?
            .f_mul_scalar(self.spec.sigma.initial.get())?;
        Ok((self.state.network.apart()?, images.f_add(&noise)?, labels))
    }

    /// Keeps the weights as they are if they are the best so far; the later of equals.
    ///
    /// # Errors
    /// What torch reports.
    pub(super) fn keep_the_better(&mut self, accuracy: f64, sigma: Distribution) -> Result<()> {
        let epoch = self.state.position.epoch;
        let is_best = self
            .state
            .position
            .best
            .is_none_or(|best| accuracy >= best.accuracy);
        if epoch >= first_candidate(self.spec) && is_best {
            let copy =
                |(name, tensor): (&str, &Tensor)| Ok((name.to_owned(), network::copy(tensor)?));
            self.state.best = self
                .state
                .network
                .tensors()
                .map(copy)
                .collect::<Result<_, tch::TchError>>()?;
            self.state.position.best = Some(Best {
                epoch,
                accuracy,
                sigma,
            });
        }
        Ok(())
    }
}

/// The first epoch, from 0, whose weights may be written. Before `from-epoch` a network has been
/// trained with the fixed sigma, and it often scores higher there: sigmas that grow cost accuracy
/// under the noise of the initial one. Before the last epoch of SmoothAdv's warm-up, whose attacks
/// are the first of full length, it has been attacked from nearby, which costs less of the same
/// accuracy; where training ends before that, it does not count.
pub(super) fn first_candidate(spec: &Training) -> u64 {
    let sigma_moves = match spec.sigma.choice {
        TrainingChoice::DataDependent { from_epoch, .. } => from_epoch,
        TrainingChoice::Fixed => 0,
    };
    match spec.loss {
        Loss::SmoothAdv { warm_up, .. } if warm_up <= spec.epochs.get() => {
            sigma_moves.max(warm_up.saturating_sub(1))
        }
        Loss::SmoothAdv { .. } | Loss::Gaussian | Loss::Macer { .. } => sigma_moves,
    }
}
