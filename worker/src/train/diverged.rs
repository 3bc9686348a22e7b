//! Numbers that are none: training ends where they first appear, and none of them is written.

use tch::{Kind, TchError, Tensor};

use super::checkpoint::{Position, State};

/// A loss, a weight, a score or a derivative that is not finite.
#[derive(Debug, thiserror::Error)]
#[error("{what} at epoch {epoch}, step {step}")]
pub(super) struct Diverged {
    /// What is not finite.
    pub(super) what: String,
    /// From 0.
    pub(super) epoch: u64,
    /// From 0: the step that came to it.
    pub(super) step: u64,
    /// Whether weights had been changed before.
    pub(super) moved: bool,
}

impl Diverged {
    /// Seen in a step that is not done, before it changes a weight.
    pub(super) fn before(what: String, &Position { epoch, step, .. }: &Position) -> Self {
        Self {
            what,
            epoch,
            step,
            moved: (epoch, step) != (0, 0),
        }
    }

    /// Seen in what the last step that is done has made.
    pub(super) fn after(what: String, &Position { epoch, step, .. }: &Position) -> Self {
        Self {
            what,
            epoch,
            step: step.saturating_sub(1),
            moved: true,
        }
    }
}

/// # Errors
/// [`Diverged`] when a weight, a running statistic or a velocity is not finite; what torch reports.
pub(super) fn check(state: &State) -> anyhow::Result<()> {
    let velocities = state.optimiser.velocities(&state.network)?;
    let velocities = velocities
        .into_iter()
        .map(|(name, tensor)| (format!("the velocity of {name}"), tensor));
    let tensors = state
        .network
        .tensors()
        .map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()));
    for (name, tensor) in tensors.chain(velocities) {
        if !is_finite(&tensor)? {
            return Err(Diverged::after(format!("{name} is not finite"), &state.position).into());
        }
    }
    Ok(())
}

/// Whether every value is.
pub(super) fn is_finite(tensor: &Tensor) -> Result<bool, TchError> {
    Ok(i64::try_from(
        &tensor
            .f_detach()?
            .f_isfinite()?
            .f_all()?
            .f_to_kind(Kind::Int64)?,
    )? == 1)
}
