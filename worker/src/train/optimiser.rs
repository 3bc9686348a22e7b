//! Stochastic gradient descent with momentum, whose state can be written down; and how the learning
//! rate moves.

use std::collections::HashMap;

use anyhow::{Context, Result};
use ddrs_common::spec::{Optimiser, Schedule};
use tch::{TchError, Tensor};

use super::network::Network;
use crate::model::brief;

/// The velocity of each weight, in the order of [`Network::learned`].
#[derive(Debug)]
pub struct Sgd(Tensor);

impl Sgd {
    /// At rest.
    ///
    /// # Errors
    /// What torch reports.
    pub fn new(network: &Network) -> Result<Self, TchError> {
        Ok(Self(network.learned().f_zeros_like()?))
    }

    /// The gradient of all weights is in their order. v ← momentum·v + gradient + decay·w, then w ←
    /// w - rate·v, as torch's `SGD` does.
    ///
    /// # Errors
    /// What torch reports.
    pub fn step(
        &mut self,
        network: &Network,
        gradient: &Tensor,
        rate: f64,
        spec: &Optimiser,
    ) -> Result<(), TchError> {
        let (velocity, weights) = (&mut self.0, network.learned());
        let pull = gradient.f_add(&weights.f_mul_scalar(spec.weight_decay)?)?;
        let _ = velocity.f_mul_scalar_(spec.momentum)?.f_add_(&pull)?;
        let _ = weights
            .shallow_clone()
            .f_sub_(&velocity.f_mul_scalar(rate)?)?;
        Ok(())
    }

    /// The velocities by the names of their weights.
    ///
    /// # Errors
    /// What torch reports.
    pub fn velocities(&self, network: &Network) -> Result<Vec<(String, Tensor)>, TchError> {
        network.by_weight(&self.0)
    }

    /// Takes velocities by name.
    ///
    /// # Errors
    /// When one is missing or has another shape.
    pub fn load(&mut self, network: &Network, others: &HashMap<String, Tensor>) -> Result<()> {
        for (name, mut velocity) in self.velocities(network)? {
            let other = others
                .get(&name)
                .with_context(|| format!("no velocity of {name}"))?;
            velocity
                .f_copy_(other)
                .map_err(brief)
                .with_context(|| name.clone())?;
        }
        Ok(())
    }
}

/// The learning rate of step `step` (from 0) in epoch `epoch` (from 0), of `steps` to an epoch and
/// `epochs`.
#[must_use]
pub fn learning_rate(
    spec: &Optimiser,
    (epoch, epochs): (u64, u64),
    (step, steps): (u64, u64),
) -> f64 {
    let part = (epoch * steps + step) as f64 / (epochs * steps) as f64;
    let factor = match &spec.schedule {
        Schedule::Constant => 1.0,
        Schedule::Step { every, factor } => factor.powi((epoch / every.get()) as i32),
        Schedule::Milestones { epochs, factor } => {
            factor.powi(epochs.iter().filter(|&&at| at <= epoch).count() as i32)
        }
        Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * part).cos()),
        Schedule::OneCycle { rise } if part < *rise => part / rise,
        Schedule::OneCycle { rise } => (1.0 - part) / (1.0 - rise),
    };
    spec.learning_rate * factor
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

    fn close(found: &[f64], expected: [f64; 8]) {
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-12),
            "{found:?}, not {expected:?}"
        );
    }

    #[test]
    fn the_rate_follows_its_schedule() {
        close(&rates(Schedule::Constant), [1.0; 8]);
        let every = std::num::NonZeroU64::MIN.saturating_add(1);
        close(
            &rates(Schedule::Step { every, factor: 0.1 }),
            [1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1],
        );
        let milestones = Schedule::Milestones {
            epochs: vec![1, 3],
            factor: 0.5,
        };
        close(
            &rates(milestones),
            [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25],
        );
        close(
            &rates(Schedule::OneCycle { rise: 0.5 }),
            [0.0, 0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25],
        );
        let cosine = rates(Schedule::Cosine);
        assert_eq!((cosine[0], cosine[4]), (1.0, 0.5));
        assert!(cosine.windows(2).all(|pair| pair[1] < pair[0]));
    }
}
