//! The choice of the epoch whose weights are written: of the epochs that trained as the
//! specification says, the one with the highest accuracy under noise on the validation samples. For
//! a selector the accuracy is the mean radius of the levels that it gives, divided by the mean of
//! the best levels of all samples.

use std::collections::HashMap;

use anyhow::Result;
use ddrs_common::spec::{Loss, Training, TrainingChoice};
use tch::{Kind, TchError, Tensor};

use super::checkpoint::BestEpoch;
use super::epoch_log::SigmaDistribution;
use super::epochs::Trainer;
use super::loss::count_correct;
use super::network::{Mode, TrainableNetwork, copy};
use super::non_finite::NonFinite;
use super::seed::Purpose;
use super::step::seed_torch;
use crate::model::is_finite;

/// A group of validation samples under noise, with a network that scores it.
struct ValidationGroup {
    network: TrainableNetwork,
    noisy: Tensor,
    labels: Tensor,
}

impl Trainer<'_> {
    /// Measures the accuracy under noise of the initial sigma, with the same noise in each epoch.
    ///
    /// # Errors
    /// [`NonFinite`] when a score is not finite.
    pub(super) fn validate(&self) -> Result<f64> {
        // A step has already used more memory than this number of groups.
        let at_once = self.spec.batch.get().div_ceil(self.spec.group.get()) as usize;
        let mut correct = 0.0;
        for groups in self.numbered_groups().chunks(at_once) {
            correct += self.count_correct(groups)?;
        }
        Ok(correct / self.examples.validation.len() as f64)
    }

    /// The places of the validation samples in groups, with the number of each group.
    fn numbered_groups(&self) -> Vec<(u64, &[usize])> {
        let size = self.spec.group.get() as usize;
        (0..).zip(self.examples.validation.chunks(size)).collect()
    }

    /// Counts the samples of these groups that are classified correctly under noise.
    fn count_correct(&self, groups: &[(u64, &[usize])]) -> Result<f64> {
        let groups = self.validation_groups(groups)?;
        let correct = self
            .threads
            .map(groups, |group| Ok(group.count_correct()?))?;
        let correct = correct.into_iter().sum::<Option<f64>>();
        correct.ok_or_else(|| self.scores_not_finite().into())
    }

    fn validation_groups(&self, groups: &[(u64, &[usize])]) -> Result<Vec<ValidationGroup>> {
        let groups = groups.iter();
        groups
            .map(|&(number, places)| self.validation_group(number, places))
            .collect()
    }

    fn scores_not_finite(&self) -> NonFinite {
        let what = "scores of validation samples are not finite".to_owned();
        NonFinite::after_update(what, &self.state.position)
    }

    fn validation_group(&self, number: u64, places: &[usize]) -> Result<ValidationGroup> {
        let (images, labels) = self.examples.batch(places, self.device)?;
        let noise = self.validation_noise(&images, number)?;
        Ok(ValidationGroup {
            network: self.state.network.with_own_statistics()?,
            noisy: images.f_add(&noise)?,
            labels,
        })
    }

    /// Draws the noise of a group, the same in each epoch.
    fn validation_noise(&self, images: &Tensor, number: u64) -> Result<Tensor, TchError> {
        seed_torch(self.spec.seed, Purpose::Evaluation, 0, number);
        let sigma = self.spec.sigma.initial.get();
        images.f_randn_like()?.f_mul_scalar(sigma)
    }

    /// Keeps a copy of the weights if they are the best so far; of equals, the latest.
    pub(super) fn keep_if_best(
        &mut self,
        accuracy: f64,
        sigma: SigmaDistribution,
    ) -> Result<(), TchError> {
        if !self.is_best(accuracy) {
            return Ok(());
        }
        self.state.best = self.copy_tensors()?;
        self.state.position.best = Some(BestEpoch {
            epoch: self.state.position.epoch,
            accuracy,
            sigma,
        });
        Ok(())
    }

    fn copy_tensors(&self) -> Result<HashMap<String, Tensor>, TchError> {
        let tensors = self.state.network.tensors();
        tensors
            .map(|(name, tensor)| Ok((name.to_owned(), copy(tensor)?)))
            .collect()
    }

    fn is_best(&self, accuracy: f64) -> bool {
        let position = &self.state.position;
        position.epoch >= first_eligible_epoch(self.spec)
            && position.best.is_none_or(|best| accuracy >= best.accuracy)
    }
}

impl ValidationGroup {
    /// Counts the samples classified correctly; `None` if a score is not finite.
    fn count_correct(&self) -> Result<Option<f64>, TchError> {
        let scores = tch::no_grad(|| self.network.scores(&self.noisy, Mode::Frozen))?;
        let correct = count_correct(&scores, &self.labels)?;
        if !is_finite(&scores)? {
            return Ok(None);
        }
        Ok(Some(f64::try_from(&correct.f_to_kind(Kind::Double)?)?))
    }
}

/// Returns the first epoch, from 0, whose weights may be written.
///
/// Before `from-epoch` a network has trained with the fixed sigma. It often has a higher accuracy
/// there, because sigmas that grow cost accuracy under the noise of the initial one. The attacks of
/// SmoothAdv have their full length from the last epoch of the warm-up on. Shorter attacks cost
/// less accuracy, so earlier epochs do not count, unless training ends before the warm-up does.
pub(super) fn first_eligible_epoch(spec: &Training) -> u64 {
    let sigma_moves = first_epoch_of_moving_sigma(spec);
    match spec.loss {
        Loss::SmoothAdv { warm_up, .. } if warm_up <= spec.epochs.get() => {
            sigma_moves.max(warm_up.saturating_sub(1))
        }
        Loss::SmoothAdv { .. } | Loss::Gaussian | Loss::Macer { .. } | Loss::Selector => {
            sigma_moves
        }
    }
}

fn first_epoch_of_moving_sigma(spec: &Training) -> u64 {
    match spec.sigma.choice {
        TrainingChoice::DataDependent { from_epoch, .. } => from_epoch,
        TrainingChoice::Fixed => 0,
    }
}
