//! Detects values that are NaN or infinite. Training stops at the first one and never writes it to
//! a checkpoint.

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
    /// Whether an earlier step had updated the weights.
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
        if !is_finite(tensor)? {
            return Err(found(name, state).into());
        }
    }
    for (name, velocity) in state.optimiser.velocities(&state.network)? {
        if !is_finite(&velocity)? {
            return Err(found(&format!("the velocity of {name}"), state).into());
        }
    }
    Ok(())
}

fn found(name: &str, state: &TrainingState) -> NonFinite {
    NonFinite::after_update(format!("{name} is not finite"), &state.position)
}
