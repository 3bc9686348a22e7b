//! Stochastic gradient descent with momentum, whose state can be saved, and the schedules of the
//! learning rate.

use std::collections::HashMap;
use std::f64::consts::PI;

use anyhow::Result;
use ddrs_common::spec::{Optimiser, Schedule};
use tch::{TchError, Tensor};

use super::network::{TrainableNetwork, copy_into};

/// The velocity of each weight, in the order of [`TrainableNetwork::learned`].
#[derive(Debug)]
pub(super) struct Sgd(Tensor);

impl Sgd {
    /// Starts with velocities of 0.
    pub(super) fn new(network: &TrainableNetwork) -> Result<Self, TchError> {
        Ok(Self(network.learned().f_zeros_like()?))
    }

    /// Updates the weights as torch's `SGD` does: v ← momentum·v + gradient + decay·w, then w ← w -
    /// rate·v. The gradient is in the order of the weights.
    pub(super) fn step(
        &mut self,
        network: &TrainableNetwork,
        gradient: &Tensor,
        rate: f64,
        spec: &Optimiser,
    ) -> Result<(), TchError> {
        let weights = network.learned();
        let velocity = &mut self.0;
        let pull = gradient.f_add(&weights.f_mul_scalar(spec.weight_decay)?)?;
        let _ = velocity.f_mul_scalar_(spec.momentum)?.f_add_(&pull)?;
        let change = velocity.f_mul_scalar(rate)?;
        weights.shallow_clone().f_sub_(&change).map(drop)
    }

    /// Returns the velocities by the names of their weights.
    pub(super) fn velocities(
        &self,
        network: &TrainableNetwork,
    ) -> Result<Vec<(String, Tensor)>, TchError> {
        network.by_weight(&self.0)
    }

    /// Copies the velocities of `others`, by name.
    ///
    /// # Errors
    /// When one is missing or has another shape.
    pub(super) fn load(
        &mut self,
        network: &TrainableNetwork,
        others: &HashMap<String, Tensor>,
    ) -> Result<()> {
        for (name, velocity) in self.velocities(network)? {
            copy_into(&velocity, &name, others)?;
        }
        Ok(())
    }
}

/// Returns the learning rate of step `step` of `steps` in epoch `epoch` of `epochs`, both from 0.
pub(super) fn learning_rate(
    spec: &Optimiser,
    (epoch, epochs): (u64, u64),
    (step, steps): (u64, u64),
) -> f64 {
    let part = (epoch * steps + step) as f64 / (epochs * steps) as f64;
    spec.learning_rate * factor(&spec.schedule, epoch, part)
}

/// Returns the factor of the learning rate in an epoch, after a part of all steps.
fn factor(schedule: &Schedule, epoch: u64, part: f64) -> f64 {
    match schedule {
        Schedule::Constant => 1.0,
        Schedule::Step { every, factor } => factor.powi((epoch / every.get()) as i32),
        Schedule::Milestones { epochs, factor } => factor.powi(passed(epochs, epoch)),
        Schedule::Cosine => 0.5 * (1.0 + (PI * part).cos()),
        Schedule::OneCycle { rise } => one_cycle(*rise, part),
    }
}

/// Counts the milestones up to an epoch.
fn passed(milestones: &[u64], epoch: u64) -> i32 {
    milestones.iter().filter(|&&at| at <= epoch).count() as i32
}

fn one_cycle(rise: f64, part: f64) -> f64 {
    if part < rise {
        part / rise
    } else {
        (1.0 - part) / (1.0 - rise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: Schedule) -> Vec<f64> {
        let spec = Optimiser {
            learning_rate: 1.0,
            momentum: 0.9,
            weight_decay: 0.0,
            schedule,
        };
        (0..4)
            .flat_map(|epoch| [0, 1].map(|step| learning_rate(&spec, (epoch, 4), (step, 2))))
            .collect()
    }

    fn assert_close(found: &[f64], expected: [f64; 8]) {
        let mut pairs = found.iter().zip(expected);
        assert!(
            pairs.all(|(a, b)| (a - b).abs() < 1e-12),
            "{found:?}, not {expected:?}"
        );
    }

    #[test]
    fn the_rate_follows_its_schedule() {
        assert_close(&rates(Schedule::Constant), [1.0; 8]);
        let every = std::num::NonZeroU64::MIN.saturating_add(1);
        assert_close(
            &rates(Schedule::Step { every, factor: 0.1 }),
            [1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1],
        );
        let milestones = Schedule::Milestones {
            epochs: vec![1, 3],
            factor: 0.5,
        };
        assert_close(
            &rates(milestones),
            [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25],
        );
        assert_close(
            &rates(Schedule::OneCycle { rise: 0.5 }),
            [0.0, 0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25],
        );
        let cosine = rates(Schedule::Cosine);
        assert_eq!((cosine[0], cosine[4]), (1.0, 0.5));
        assert!(cosine.windows(2).all(|pair| pair[1] < pair[0]));
    }
}
