//! One input on its way from sigma to a certification: what it wants scored, and what follows from
//! the scores.

use std::sync::Arc;

use ddrs_common::certify::{Certifier, CertifierStep};
use ddrs_common::domain::{Certification, SampleIndex, Sigma};
use ddrs_common::spec::{DataDependentSpec, SigmaMethod};
use tch::TchError;

use super::Side;
use super::certify::{SampleResult, Task, Trouble};
use super::input::Input;
use super::pass::NOT_FINITE;
use super::request::Request;
use super::tally::Tally;
use crate::sigma::Search;

/// An input, the decision it is at, and the rows that the decision waits for.
pub(super) struct Progress {
    pub(super) input: Arc<Input>,
    pub(super) request: Arc<Request>,
    stage: Stage,
    answer: Answer,
    /// Rows handed out so far.
    pub(super) taken: u64,
    /// Rows not yet answered.
    missing: u64,
    /// Why this input comes to no certification.
    trouble: Option<String>,
    seconds: f64,
}

enum Stage {
    Search(Search),
    Certify(Certifier, Sigma),
}

/// What the rows answered so far say.
enum Answer {
    Counts(Vec<u64>),
    /// Counts that the device keeps.
    Tally(Arc<Tally>),
    /// Probabilities by row and class: they are summed in the order of rows, whichever was there
    /// first.
    Probabilities(Vec<f64>),
}

/// What follows when every row is answered.
pub(super) enum Next {
    /// More rows.
    Rows(Box<Progress>),
    /// Nothing: this is the result, with the seconds spent on it.
    Done(SampleIndex, SampleResult, f64),
}

impl Task<'_> {
    /// Begins with an input whose sigma is known; `None` where choosing it came to nothing.
    pub(super) fn begin(&self, input: Arc<Input>, sigma: Option<f64>, seconds: f64) -> Next {
        if let Some(sigma) = sigma.and_then(|value| Sigma::new(value).ok()) {
            return self.go_on(
                input,
                Stage::Certify(Certifier::new(&self.sweep.certify, sigma), sigma),
                seconds,
            );
        }
        let error = "choosing sigma came to scores or a derivative that is not finite".to_owned();
        Next::Done(input.index, Err(error), seconds)
    }

    /// Begins with an input whose sigma is to be searched for.
    pub(super) fn search(&self, input: Arc<Input>) -> Next {
        self.go_on(
            input,
            Stage::Search(Search::new(
                self.variant.sigma0,
                &self.sweep.smoothing.data_dependent,
            )),
            0.0,
        )
    }

    /// Takes the answer that is complete now.
    pub(super) fn advance(&self, progress: Progress) -> Result<Next, Trouble> {
        let Progress {
            input,
            request,
            stage,
            answer,
            trouble,
            seconds,
            ..
        } = progress;
        if let Some(error) = trouble {
            return Ok(Next::Done(input.index, Err(error), seconds));
        }
        match (stage, answer) {
            (Stage::Certify(mut certifier, sigma), Answer::Counts(counts)) => {
                certifier
                    .observe(&counts)
                    .map_err(|error| Trouble::Job(error.into()))?;
                Ok(self.go_on(input, Stage::Certify(certifier, sigma), seconds))
            }
            (Stage::Search(mut search), Answer::Probabilities(rows)) => {
                let Request::Compare { draws, .. } = *request else {
                    return Err(mismatch());
                };
                search.observe(&means(
                    &rows,
                    draws as usize,
                    self.network.classes() as usize,
                ));
                Ok(match search.best() {
                    Some(sigma) => self.begin(input, Some(sigma.get()), seconds),
                    None => self.go_on(input, Stage::Search(search), seconds),
                })
            }
            _ => Err(mismatch()),
        }
    }

    fn go_on(&self, input: Arc<Input>, stage: Stage, seconds: f64) -> Next {
        let request = match &stage {
            Stage::Search(search) => {
                let draws = u64::from(self.sweep.smoothing.data_dependent.draws);
                Request::Compare {
                    sigmas: search.candidates().to_vec(),
                    draws,
                }
            }
            Stage::Certify(certifier, sigma) => match certifier.next() {
                CertifierStep::Draw {
                    phase,
                    chunk: first,
                    n,
                } => Request::Count {
                    sigma: *sigma,
                    phase,
                    first,
                    n,
                    chunk: self.sweep.certify.chunk.get(),
                },
                CertifierStep::Done(verdict) => {
                    let certification = Certification {
                        outcome: verdict.outcome,
                        sigma: *sigma,
                        sigma0: self.variant.sigma0,
                        n0: verdict.n0,
                        n: verdict.n,
                        count: verdict.count,
                        p_lower: verdict.p_lower,
                        alpha: self.sweep.certify.alpha,
                    };
                    return Next::Done(input.index, Ok(certification), seconds);
                }
            },
        };
        let (rows, classes) = (request.rows(), self.network.classes() as usize);
        let answer = match request {
            Request::Count { .. } if self.engine.side == Side::Device => {
                Answer::Tally(Arc::new(Tally::new(classes)))
            }
            Request::Count { .. } => Answer::Counts(vec![0; classes]),
            Request::Compare { .. } => Answer::Probabilities(vec![0.0; rows as usize * classes]),
        };
        let request = Arc::new(request);
        let progress = Progress {
            input,
            request,
            stage,
            answer,
            taken: 0,
            missing: rows,
            trouble: None,
            seconds,
        };
        Next::Rows(Box::new(progress))
    }
}

/// Whether sigma is searched for, rather than fixed or climbed to.
pub(super) fn searches(spec: &DataDependentSpec) -> bool {
    matches!(spec.method, SigmaMethod::Search { .. })
}

fn mismatch() -> Trouble {
    Trouble::Job(anyhow::anyhow!(
        "an answer does not belong to what was asked"
    ))
}

/// The mean over the draws, for each sigma: (sigmas, classes).
pub(super) fn means(rows: &[f64], draws: usize, classes: usize) -> Vec<Vec<f64>> {
    let mean = |of_one: &[f64]| {
        (0..classes)
            .map(|class| of_one.iter().skip(class).step_by(classes).sum::<f64>() / draws as f64)
            .collect()
    };
    rows.chunks_exact(draws * classes).map(mean).collect()
}

impl Progress {
    /// Rows that nobody has taken yet.
    pub(super) fn waiting(&self) -> u64 {
        self.request.rows() - self.taken
    }

    /// Whether every row is answered.
    pub(super) fn complete(&self) -> bool {
        self.missing == 0
    }

    /// Where the device counts its rows, if it does.
    pub(super) fn tally(&self) -> Option<Arc<Tally>> {
        if let Answer::Tally(tally) = &self.answer {
            Some(Arc::clone(tally))
        } else {
            None
        }
    }

    /// Fetches what the device counted, when every row is answered. Waits for the device.
    ///
    /// # Errors
    /// What torch reports.
    pub(super) fn settle(&mut self) -> Result<(), TchError> {
        if let (Answer::Tally(tally), None) = (&self.answer, &self.trouble) {
            match tally.read()? {
                Some(counts) => self.answer = Answer::Counts(counts),
                None => self.trouble = Some(NOT_FINITE.to_owned()),
            }
        }
        Ok(())
    }

    /// Spends time on it.
    pub(super) fn spend(&mut self, seconds: f64) {
        self.seconds += seconds;
    }

    /// Takes the scores of one row; those that are not finite end the input, and none of its rows
    /// is handed out any more.
    pub(super) fn answer(&mut self, row: u64, scores: &Scores) {
        self.missing -= 1;
        match (scores, &mut self.answer) {
            (Scores::All(scores), Answer::Counts(counts)) => counts[highest(scores)] += 1,
            (Scores::All(all), Answer::Probabilities(rows)) => {
                let start = row as usize * all.len();
                softmax(all, &mut rows[start..start + all.len()]);
            }
            (Scores::Counted | Scores::All(_), Answer::Tally(_)) => {}
            (Scores::Useless(_) | Scores::Counted, _) => {
                let reason = if let Scores::Useless(reason) = scores {
                    reason
                } else {
                    "no scores"
                };
                self.trouble = Some(reason.to_owned());
                self.missing -= self.waiting();
                self.taken = self.request.rows();
            }
        }
    }
}

/// What a row was scored.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scores<'a> {
    /// The device has counted the class with the highest score.
    Counted,
    /// The score of every class, all finite.
    All(&'a [f32]),
    /// Nothing that decides anything, and why.
    Useless(&'a str),
}

/// The class with the highest score, the first among equals.
fn highest(scores: &[f32]) -> usize {
    let mut best = 0;
    for (class, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = class;
        }
    }
    best
}

/// The probabilities of a row's classes.
///
/// # Errors
/// Why the row has none.
pub(super) fn probabilities<'a>(scores: &Scores<'a>, found: &mut [f64]) -> Result<(), &'a str> {
    match scores {
        Scores::All(scores) => softmax(scores, found),
        Scores::Useless(reason) => return Err(reason),
        Scores::Counted => return Err("no scores"),
    }
    Ok(())
}

fn softmax(scores: &[f32], probabilities: &mut [f64]) {
    let top = f64::from(scores[highest(scores)]);
    for (probability, &score) in probabilities.iter_mut().zip(scores) {
        *probability = (f64::from(score) - top).exp();
    }
    let sum: f64 = probabilities.iter().sum();
    for probability in probabilities {
        *probability /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_count_for_the_first_class() {
        for (scores, class) in [
            ([1.0, 1.0, 1.0], 0),
            ([0.0, 2.0, 2.0], 1),
            ([3.0, 4.0, 0.0], 1),
            ([-1.0, -2.0, 0.5], 2),
        ] {
            assert_eq!(highest(&scores), class);
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
    fn the_mean_is_over_the_draws_of_one_sigma() {
        assert_eq!(
            means(&[0.0, 1.0, 0.5, 0.5, 1.0, 0.0, 1.0, 0.0], 2, 2),
            [[0.25, 0.75], [1.0, 0.0]]
        );
    }
}
