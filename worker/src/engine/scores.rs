//! The scores of a pass, read from the device, and the numbers that follow from them.

use ddrs_common::architecture::Outputs;
use ddrs_common::stats::argmax;

/// The reason why a row with such scores decides nothing.
pub(super) const NOT_FINITE: &str = "the model's scores are not all finite";

/// The scores of a whole pass.
pub(super) enum PassScores {
    /// Single-precision scores of shape (rows, classes).
    Values {
        values: Vec<f32>,
        classes: usize,
        outputs: Outputs,
    },
    /// No scores, because the device has counted the classes.
    Counted,
    /// The reason why no row was scored: the scores have another shape than in the model's first
    /// trial.
    WrongShape(String),
}

/// The scores of one row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RowScores<'a> {
    /// The device has counted the class with the highest score.
    Counted,
    /// One score per class, all finite, and their meaning.
    All(&'a [f32], Outputs),
    /// The reason why the scores decide nothing.
    Unusable(&'a str),
}

impl PassScores {
    pub(super) fn row(&self, row: usize) -> RowScores<'_> {
        match self {
            Self::WrongShape(reason) => RowScores::Unusable(reason),
            Self::Counted => RowScores::Counted,
            Self::Values {
                values,
                classes,
                outputs,
            } => RowScores::checked(&values[row * classes..(row + 1) * classes], *outputs),
        }
    }
}

impl<'a> RowScores<'a> {
    fn checked(scores: &'a [f32], outputs: Outputs) -> Self {
        if scores.iter().all(|score| score.is_finite()) {
            Self::All(scores, outputs)
        } else {
            Self::Unusable(NOT_FINITE)
        }
    }

    /// Returns the score of every class, or the reason why there are no usable scores.
    pub(super) fn values(&self) -> Result<&'a [f32], &'a str> {
        match self {
            Self::All(scores, _) => Ok(scores),
            Self::Unusable(reason) => Err(reason),
            Self::Counted => Err("no scores"),
        }
    }

    /// Writes the probability of every class.
    ///
    /// # Errors
    /// The reason why there are no usable scores.
    pub(super) fn write_probabilities(&self, probabilities: &mut [f64]) -> Result<(), &'a str> {
        let scores = self.values()?;
        match self {
            Self::All(_, Outputs::Probabilities) => copy(scores, probabilities),
            _ => softmax(scores, probabilities),
        }
        Ok(())
    }
}

fn copy(scores: &[f32], probabilities: &mut [f64]) {
    for (probability, &score) in probabilities.iter_mut().zip(scores) {
        *probability = f64::from(score);
    }
}

/// Writes the probabilities of the classes of one row of scores.
fn softmax(scores: &[f32], probabilities: &mut [f64]) {
    let highest = f64::from(scores[argmax(scores)]);
    for (probability, &score) in probabilities.iter_mut().zip(scores) {
        *probability = (f64::from(score) - highest).exp();
    }
    let sum: f64 = probabilities.iter().sum();
    for probability in probabilities {
        *probability /= sum;
    }
}

/// Averages probabilities of shape (sigmas, draws, classes) over the draws. The result has shape
/// (sigmas, classes).
pub(super) fn mean_over_draws(rows: &[f64], draws: usize, classes: usize) -> Vec<Vec<f64>> {
    rows.chunks_exact(draws * classes)
        .map(|of_one_sigma| class_means(of_one_sigma, draws, classes))
        .collect()
}

/// Averages probabilities of shape (draws, classes) over the draws.
fn class_means(rows: &[f64], draws: usize, classes: usize) -> Vec<f64> {
    (0..classes)
        .map(|class| rows.iter().skip(class).step_by(classes).sum::<f64>() / draws as f64)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn scores_that_are_not_finite_decide_nothing() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let scores = PassScores::Values {
                values: vec![0.0, 1.0, bad, 0.0],
                classes: 2,
                outputs: Outputs::Scores,
            };
            assert_eq!(scores.row(0), RowScores::All(&[0.0, 1.0], Outputs::Scores));
            assert_eq!(scores.row(1), RowScores::Unusable(NOT_FINITE));
        }
    }

    #[test]
    fn probabilities_add_up_to_one_however_large_the_scores() {
        let mut found = [0.0; 2];
        softmax(&[1000.0, 1000.0 + 2f32.ln()], &mut found);
        assert!(
            (found[0] - 1.0 / 3.0).abs() < 1e-4 && (found.iter().sum::<f64>() - 1.0).abs() < 1e-12,
            "{found:?}"
        );
    }

    #[test]
    fn probabilities_take_no_softmax() {
        let scores = [0.25, 0.75];
        let found = |outputs| {
            let mut found = [0.0; 2];
            let row = RowScores::All(&scores, outputs);
            row.write_probabilities(&mut found).unwrap();
            found
        };
        assert_eq!(found(Outputs::Probabilities), [0.25, 0.75]);
        assert!((found(Outputs::Scores)[0] - 1.0 / (1.0 + 0.5f64.exp())).abs() < 1e-12);
    }

    #[test]
    fn the_mean_is_over_the_draws_of_one_sigma() {
        let rows = [0.0, 1.0, 0.5, 0.5, 1.0, 0.0, 1.0, 0.0];
        assert_eq!(mean_over_draws(&rows, 2, 2), [[0.25, 0.75], [1.0, 0.0]]);
    }
}
