//! Numbers that are none: training ends where they first appear, and none of them is written.

use std::path::Path;

use tch::{Kind, TchError, Tensor};

use super::checkpoint::State;

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
}

/// As people are told of it, with what helps. The same command would come to the same numbers again, and another learning
/// rate makes another specification, to which the checkpoint does not belong.
pub(super) fn told(error: anyhow::Error, checkpoint: &Path) -> anyhow::Error {
    match error.downcast::<Diverged>() {
        Ok(diverged) if checkpoint.exists() => anyhow::anyhow!(
            "{diverged}: a smaller optimiser.learning-rate may help. That is another specification, to which {} does not \
             belong: delete it to start over, or write to another --out",
            checkpoint.display()
        ),
        Ok(diverged) => anyhow::anyhow!("{diverged}: a smaller optimiser.learning-rate may help"),
        Err(error) => error,
    }
}

/// # Errors
/// [`Diverged`] when a weight, a running statistic or a velocity is not finite; what torch reports.
pub(super) fn check(state: &State) -> anyhow::Result<()> {
    let velocities = state.optimiser.velocities().map(|(name, tensor)| (format!("the velocity of {name}"), tensor));
    let tensors = state.network.tensors().map(|(name, tensor)| (name.to_owned(), tensor));
    for (name, tensor) in tensors.chain(velocities) {
        if !is_finite(tensor)? {
            let (epoch, step) = (state.position.epoch, state.position.step.saturating_sub(1));
            return Err(Diverged { what: format!("{name} is not finite"), epoch, step }.into());
        }
    }
    Ok(())
}

/// Whether every value is.
pub(super) fn is_finite(tensor: &Tensor) -> Result<bool, TchError> {
    Ok(i64::try_from(&tensor.f_detach()?.f_isfinite()?.f_all()?.f_to_kind(Kind::Int64)?)? == 1)
}
