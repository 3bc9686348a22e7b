//! Detects values that are NaN or infinite. Training stops at the first one and never writes it to
//! a checkpoint.

use anyhow::ensure;
use tch::Tensor;

use super::checkpoint::{Position, TrainingState};
use crate::model::is_finite;

/// A loss, a weight, a score or a derivative that is not finite.
#[derive(Debug, thiserror::Error)]
#[error("{what} at epoch {epoch}, step {step}")]
pub(super) struct NonFinite {
    /// A clause such as "the loss is NaN".
    pub(super) what: String,
    /// From 0.
    pub(super) epoch: u64,
    /// The step that computed the value, from 0.
    pub(super) step: u64,
    /// True if an earlier step had updated the weights.
    pub(super) weights_moved: bool,
}

impl NonFinite {
    /// Describes a value found during a step, before the step updates the weights.
    pub(super) fn before_update(what: String, &Position { epoch, step, .. }: &Position) -> Self {
        Self {
            what,
            epoch,
            step,
            weights_moved: (epoch, step) != (0, 0),
        }
    }

    /// Describes a value found in the result of the last finished step.
    pub(super) fn after_update(what: String, &Position { epoch, step, .. }: &Position) -> Self {
        Self {
            what,
            epoch,
            step: step.saturating_sub(1),
            weights_moved: true,
        }
    }
}

/// Checks the state before it is saved.
///
/// # Errors
/// [`NonFinite`] when a weight, a running statistic or a velocity is not finite.
pub(super) fn check(state: &TrainingState) -> anyhow::Result<()> {
    for (name, tensor) in state.network.tensors() {
        check_tensor(name, tensor, &state.position)?;
    }
    check_velocities(state)
}

fn check_velocities(state: &TrainingState) -> anyhow::Result<()> {
    for (name, velocity) in state.optimiser.velocities(&state.network)? {
        let name = format!("the velocity of {name}");
        check_tensor(&name, &velocity, &state.position)?;
    }
    Ok(())
}

fn check_tensor(name: &str, tensor: &Tensor, position: &Position) -> anyhow::Result<()> {
    let what = format!("{name} is not finite");
    ensure!(is_finite(tensor)?, NonFinite::after_update(what, position));
    Ok(())
}
