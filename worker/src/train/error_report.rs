//! The messages of errors that end training early: the cause, the epoch and step, and advice.

use std::path::Path;

use anyhow::anyhow;
use tch::TchError;

use super::checkpoint::Position;
use super::non_finite::NonFinite;
use crate::failure::{TorchFailure, brief};

/// Adds the position and advice to errors of torch and to [`NonFinite`]. Other errors stay as they
/// are.
pub(super) fn with_advice(
    error: anyhow::Error,
    position: &Position,
    checkpoint: &Path,
) -> anyhow::Error {
    let error = match error.downcast::<NonFinite>() {
        Ok(found) => return non_finite(&found, checkpoint),
        Err(error) => error,
    };
    match error.downcast::<TchError>() {
        Ok(error) => torch_failure(error, position),
        Err(error) => error,
    }
}

/// The same command would compute the same values again. Another learning rate makes another
/// specification, to which the checkpoint does not belong.
fn non_finite(found: &NonFinite, checkpoint: &Path) -> anyhow::Error {
    if !found.weights_moved {
        return anyhow!(
            "{found}, before any weight was changed: sigma or a number of the loss is too large"
        );
    }
    let advice = "a smaller optimiser.learning-rate may help";
    if !checkpoint.exists() {
        return anyhow!("{found}: {advice}");
    }
    let checkpoint = checkpoint.display();
    anyhow!(
        "{found}: {advice}. With it, {checkpoint} belongs to another specification: delete it to \
         start over, or write to another --out"
    )
}

/// Reports the failure in one line. Most failures of a step are a lack of memory.
fn torch_failure(error: TchError, Position { epoch, step, .. }: &Position) -> anyhow::Error {
    let advice = match TorchFailure::of(&error) {
        TorchFailure::OutOfMemory => {
            ": a smaller train.batch, train.group, sigma.iterations or number of draws takes less"
        }
        TorchFailure::Other => "",
    };
    anyhow!("epoch {epoch}, step {step}: {:#}{advice}", brief(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> String {
        let position = Position {
            epoch: 2,
            step: 7,
            ..Position::default()
        };
        let error = TchError::Torch(text.to_owned()).into();
        with_advice(error, &position, Path::new("none")).to_string()
    }

    #[test]
    fn an_error_of_torch_is_reported_in_one_line_with_its_step() {
        assert_eq!(
            report("sizes differ\nframe #0: <unknown function>"),
            "epoch 2, step 7: torch: sizes differ"
        );
    }

    #[test]
    fn a_step_that_lacks_memory_says_what_takes_less() {
        for text in [
            "CUDA out of memory. Tried to allocate 2 GiB",
            "can't allocate memory: you tried to allocate 9 bytes",
        ] {
            let report = report(&format!("{text}\nframe #0"));
            let advice = concat!(
                ": a smaller train.batch, train.group, sigma.iterations ",
                "or number of draws takes less"
            );
            assert!(report.ends_with(advice), "{report}");
            assert!(
                report.contains(text) && !report.contains("frame"),
                "{report}"
            );
        }
    }
}
