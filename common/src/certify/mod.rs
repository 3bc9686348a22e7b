//! The certifier as a machine without IO: it says what to draw, is told the counts and ends in a
//! verdict.
//!
//! CERTIFY of Cohen et al. 2019 (section 3.2.2; `Smooth.certify` of their code), step by step:
//! 1. *select*: draw n0 times and guess the class that comes up most;
//! 2. *estimate*: draw n fresh times and count that class alone;
//! 3. *bound* its probability from below at confidence 1 - alpha;
//! 4. *abstain* unless the bound is above one half;
//! 5. otherwise its *radius* is sigma times the quantile of the bound.
//!
//! The guess may be wrong without harm: it costs an abstention or a small radius, never soundness,
//! because the draws that bound it are not those that chose it. Whoever drives the machine supplies
//! the draws: a network, or in tests a binomial. Choosing sigma comes before it and is not part of
//! it.
//!
//! How many draws step 2 takes is up to the specification's stopping rule: `n` at once, or chunk
//! after chunk until its radii are decided (`stopping`), or as many as step 1 suggests (`pilot`).
//! What is decided depends on counts at the end of chunks and on the specification alone, so not on
//! how draws are gathered into forward passes.

mod pilot;
mod stopping;

pub use stopping::bound;

use crate::domain::{Class, Outcome, Phase, Probability, Sigma};
use crate::spec::{CertifySpec, Stopping};
use crate::stats;
use stopping::{Goal, decided};

/// One input on its way to a verdict.
///
/// With probability at least 1 - alpha over the draws, either it abstains or the smoothed
/// classifier at `sigma` predicts the class of its outcome everywhere within the radius (Cohen et
/// al. 2019, Proposition 2).
#[derive(Debug, Clone, PartialEq)]
pub struct Certifier {
    spec: CertifySpec,
    sigma: Sigma,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Select,
    Estimate(Estimate),
    Done(Verdict),
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Estimate {
    guess: Class,
    /// Draws that it takes at most.
    end: u64,
    /// Draws counted, whole chunks or all.
    drawn: u64,
    /// How many of them gave the guess.
    count: u64,
    goal: Option<Goal>,
}

/// What the machine needs next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// Classify the input under `n` draws of noise of this phase, and
    /// [`observe`](Certifier::observe) the counts.
    ///
    /// The draws fill whole chunks from `chunk` on, the last of them perhaps in part.
    Draw {
        /// What the draws are for.
        phase: Phase,
        /// The number of the first chunk of noise to draw, counted from 0 in each phase: those
        /// before it have been counted already, and no draw may be counted twice.
        chunk: u64,
        /// How many.
        n: u64,
    },
    /// Nothing: this is the result.
    Done(Verdict),
}

/// A certificate or an abstention, with the counts that it follows from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// What was shown.
    pub outcome: Outcome,
    /// Draws that guessed the class.
    pub n0: u64,
    /// Draws that bounded its probability: as many as were made, which a stopping rule may make
    /// fewer than `n` of the specification.
    pub n: u64,
    /// How many of the `n` gave the guessed class, abstained or not.
    pub count: u64,
    /// Lower bound on the guessed class's probability, at confidence 1 - alpha.
    pub p_lower: Probability,
}

/// Counts that cannot be the answer to what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertifyError {
    /// The counts do not add up to the draws asked for.
    #[error("{total} draws were counted in the {phase} phase, where {asked} were asked for", phase = .phase.as_str())]
    WrongTotal {
        /// What the draws were for.
        phase: Phase,
        /// How many were asked for.
        asked: u64,
        /// How many were counted.
        total: u128,
    },
    /// There are counts of fewer classes than when the class was guessed.
    #[error("class {class} was guessed, but {classes} classes were counted in the estimate phase")]
    NoSuchClass {
        /// The class guessed.
        class: u32,
        /// How many were counted.
        classes: usize,
    },
    /// The verdict is already there.
    #[error("draws were counted after the verdict")]
    Finished,
}

impl Certifier {
    /// Starts with one input to be smoothed at `sigma`.
    #[must_use]
    pub fn new(spec: &CertifySpec, sigma: Sigma) -> Self {
        Self {
            spec: spec.clone(),
            sigma,
            state: State::Select,
        }
    }

    /// What it needs now; asking changes nothing.
    #[must_use]
    pub fn next(&self) -> Step {
        match self.state {
            State::Select => Step::Draw {
                phase: Phase::Select,
                chunk: 0,
                n: self.spec.n0.get(),
            },
            State::Estimate(Estimate { end, drawn, .. }) => {
                let (chunk, left) = (self.spec.chunk.get(), end - drawn);
                let n = if let Stopping::Radii(_) = self.spec.stopping {
                    left.min(chunk)
                } else {
                    left
                };
                Step::Draw {
                    phase: Phase::Estimate,
                    chunk: drawn / chunk,
                    n,
                }
            }
            State::Done(verdict) => Step::Done(verdict),
        }
    }

    /// Takes the counts of the draws that [`next`](Self::next) asked for, by class.
    ///
    /// # Errors
    /// When they do not add up to what was asked or nothing was asked. The machine then stays where
    /// it was.
    pub fn observe(&mut self, counts: &[u64]) -> Result<(), CertifyError> {
        let Step::Draw {
            phase, n: asked, ..
        } = self.next()
        else {
            return Err(CertifyError::Finished);
        };
        let total = counts.iter().map(|&count| u128::from(count)).sum();
        if total != u128::from(asked) {
            return Err(CertifyError::WrongTotal {
                phase,
                asked,
                total,
            });
        }
        self.state = match self.state {
            State::Select => State::Estimate(self.begin(most_frequent(counts), counts)),
            State::Estimate(mut estimate) => {
                let guess = estimate.guess.0;
                let missing = CertifyError::NoSuchClass {
                    class: guess,
                    classes: counts.len(),
                };
                estimate.count += *counts.get(guess as usize).ok_or(missing)?;
                estimate.drawn += asked;
                self.go_on(estimate)
            }
            State::Done(_) => return Err(CertifyError::Finished),
        };
        Ok(())
    }

    fn begin(&self, guess: Class, counts: &[u64]) -> Estimate {
        let end = match self.spec.stopping {
            Stopping::Fixed | Stopping::Radii(_) => self.spec.n.get(),
            Stopping::Loss(loss) => pilot::draws(
                &self.spec,
                loss,
                counts.get(guess.0 as usize).copied().unwrap_or(0),
            ),
        };
        Estimate {
            guess,
            end,
            drawn: 0,
            count: 0,
            goal: None,
        }
    }

    fn go_on(&self, mut estimate: Estimate) -> State {
        let Estimate {
            guess,
            end,
            drawn,
            count,
            ref mut goal,
        } = estimate;
        let decided = match &self.spec.stopping {
            Stopping::Radii(radii) => decided(&self.spec, radii, self.sigma, count, drawn, goal),
            Stopping::Fixed | Stopping::Loss(_) => false,
        };
        match bound(&self.spec, count, drawn) {
            Some(p_lower) if drawn == end || decided => {
                State::Done(self.judge(guess, count, drawn, p_lower))
            }
            _ => State::Estimate(estimate),
        }
    }

    fn judge(&self, guess: Class, count: u64, n: u64, p_lower: Probability) -> Verdict {
        let outcome = if p_lower.get() > 0.5 {
            Outcome::Certified {
                class: guess,
                radius: stats::radius(self.sigma, p_lower),
            }
        } else {
            Outcome::Abstained
        };
        Verdict {
            outcome,
            n0: self.spec.n0.get(),
            n,
            count,
            p_lower,
        }
    }
}

/// The class with the largest count; the lowest number among equals, as numpy's `argmax`.
fn most_frequent(counts: &[u64]) -> Class {
    Class(stats::argmax(counts) as u32)
}

#[cfg(test)]
mod error_rate;
#[cfg(test)]
mod tests;
