//! What ends training before its time, as people are told of it: what happened, where, and what may
//! help.

use std::path::Path;

use anyhow::anyhow;
use tch::TchError;

use super::checkpoint::Position;
use super::diverged::Diverged;
use crate::model::brief;

/// An error at `position` with what helps; others than torch's and [`Diverged`] as they are.
pub(super) fn told(error: anyhow::Error, position: &Position, checkpoint: &Path) -> anyhow::Error {
    let error = match error.downcast::<Diverged>() {
        Ok(diverged) => return diverging(&diverged, checkpoint),
        Err(error) => error,
    };
    match error.downcast::<TchError>() {
        Ok(error) => failing(error, position),
        Err(error) => error,
    }
}

/// The same command would come to the same numbers again, and another learning rate makes another
/// specification, to which the checkpoint does not belong.
fn diverging(diverged: &Diverged, checkpoint: &Path) -> anyhow::Error {
    if !diverged.moved {
        return anyhow!(
            "{diverged}, before any weight was changed: sigma or a number of the loss is too large"
        );
    }
    let advice = "a smaller optimiser.learning-rate may help";
    if checkpoint.exists() {
        let checkpoint = checkpoint.display();
        return anyhow!(
            "{diverged}: {advice}. That is another specification, to which {checkpoint} does not belong: delete it to start \
             over, or write to another --out"
        );
    }
    anyhow!("{diverged}: {advice}")
}

/// In one line. Memory is what a step lacks most often.
fn failing(error: TchError, Position { epoch, step, .. }: &Position) -> anyhow::Error {
    let text = error.to_string().to_lowercase();
    let advice = if text.contains("tried to allocate") || text.contains("out of memory") {
        ": a smaller train.batch, train.group, sigma.iterations or number of draws takes less"
    } else {
        ""
    };
    anyhow!("epoch {epoch}, step {step}: {:#}{advice}", brief(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        let position = Position {
            epoch: 2,
            step: 7,
            ..Position::default()
        };
        told(
            TchError::Torch(text.to_owned()).into(),
            &position,
            Path::new("none"),
        )
        .to_string()
    }

    #[test]
    fn what_torch_reports_is_told_in_a_line_with_its_step() {
        assert_eq!(
            of("sizes differ\nframe #0: <unknown function>"),
            "epoch 2, step 7: torch: sizes differ"
        );
    }

    #[test]
    fn a_step_that_lacks_memory_says_what_takes_less() {
        for text in [
            "CUDA out of memory. Tried to allocate 2 GiB",
            "can't allocate memory: you tried to allocate 9 bytes",
        ] {
            let told = of(&format!("{text}\nframe #0"));
            assert!(
                told.ends_with("a smaller train.batch, train.group, sigma.iterations or number of draws takes less"),
                "{told}"
            );
            assert!(told.contains(text) && !told.contains("frame"), "{told}");
        }
    }
}
