//! The certifier: a state machine without IO. It requests draws, takes their counts, and ends with
//! a certificate or an abstention.
//!
//! CERTIFY of Cohen et al. 2019 (section 3.2.2; `Smooth.certify` of their code), step by step:
//! 1. *select*: draw n0 times and guess the class that is drawn most often;
//! 2. *estimate*: draw n fresh times and count that class alone;
//! 3. *bound* its probability from below at confidence 1 - alpha;
//! 4. *abstain* unless the bound is above one half;
//! 5. otherwise its *radius* is sigma times the quantile of the bound.
//!
//! A wrong guess costs an abstention or a small radius, never soundness, because the draws that
//! bound the class are not those that chose it. The caller supplies the draws: from a network, or
//! in tests from a binomial distribution. Choosing sigma comes before and is not done here.
//!
//! The specification's stopping rule sets the number of draws of step 2: `n` at once, chunk after
//! chunk until the certified radii are decided (`stopping`), or the number that step 1 suggests
//! (`pilot`). `certify.bound` may bound the other classes in step 3 as well (`two_class`). The
//! decision depends only on the counts at the end of chunks and on the
//! specification, so it does not depend on how draws are grouped into forward passes.

mod class_bounds;
mod estimation_plan;
mod pilot;
mod selected;
mod stopping;
mod two_class;

pub use class_bounds::{ClassBounds, EstimationCounts};
pub use estimation_plan::EstimationPlan;
pub use selected::{
    DrawSource, SelectedCertificate, SelectedCertifier, SelectedRules, SelectedStep,
};
pub use stopping::{SampleBounds, bound};

use std::cmp::Reverse;

use crate::domain::{Class, Outcome, Phase, Probability, RunnerUp, SelectionCounts, Sigma};
use crate::grid::GridLoss;
use crate::spec::{BoundRule, CertifySpec, Stopping};
use crate::stats;
use stopping::{Counts, Goal, draws_at_once};

/// The certification of one input, from the first draw to the certificate.
///
/// With probability at least 1 - alpha over the draws, either it abstains or the smoothed
/// classifier at `sigma` predicts the class of its outcome everywhere within the radius (Cohen et
/// al. 2019, Proposition 2).
#[derive(Debug, Clone, PartialEq)]
pub struct Certifier {
    spec: CertifySpec,
    sigma: Sigma,
    loss: GridLoss,
    state: CertifierState,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum CertifierState {
    Select,
    Estimate(Estimate),
    Done(Certificate),
}

/// The estimation phase.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Estimate {
    guess: Class,
    /// The most frequent other class of the selection phase, and its draws so far; `None` if
    /// there is no other class.
    runner_up: Option<RunnerUp>,
    selected: SelectionCounts,
    plan: EstimationPlan,
    /// The draws so far: whole chunks, or all of them.
    counts: Counts,
    goal: Option<Goal>,
}

/// The next step of a certifier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CertifierStep {
    /// Classify the input under `n` draws of noise of this phase, and
    /// [`observe`](Certifier::observe) the counts.
    ///
    /// The draws fill whole chunks, starting at `chunk`; the last chunk may be filled in part.
    Draw {
        /// The purpose of the draws.
        phase: Phase,
        /// The number of the first chunk of noise to draw, counted from 0 in each phase. Earlier
        /// chunks are already counted, and no draw may be counted twice.
        chunk: u64,
        /// The number of draws.
        n: u64,
    },
    /// The certification is complete, with this result.
    Done(Certificate),
}

/// A certificate or an abstention, with the counts that it follows from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Certificate {
    /// The certified class and radius, or an abstention.
    pub outcome: Outcome,
    /// The number of draws that guessed the class.
    pub n0: u64,
    /// The number of draws that bounded its probability. A stopping rule may end with fewer than
    /// `n` of the specification.
    pub n: u64,
    /// The number of the `n` draws that gave the guessed class, abstained or not.
    pub count: u64,
    /// The lower bound on the guessed class's probability under exact noise, at confidence
    /// 1 - alpha.
    pub p_lower: Probability,
    /// The upper bound on every other class's probability, where the bound of two classes was
    /// chosen.
    pub p_upper: Option<Probability>,
    /// The most frequent other class of the selection phase, and its draws among the `n`.
    pub runner_up: Option<RunnerUp>,
    /// The draws of the selection phase that gave both, if the specification's rules use them.
    pub n0_counts: Option<SelectionCounts>,
}

/// Counts that do not answer the certifier's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertifyError {
    /// The counts do not add up to the number of draws requested.
    #[error(
        "{total} draws were counted in the {phase} phase, {asked} were requested",
        phase = .phase.as_str()
    )]
    WrongTotal {
        /// The purpose of the draws.
        phase: Phase,
        /// The number requested.
        asked: u64,
        /// The number counted.
        total: u128,
    },
    /// There are counts of fewer classes than in the selection phase.
    #[error(
        "class {class} was guessed, but {classes} classes were counted in the estimation phase"
    )]
    NoSuchClass {
        /// The class guessed.
        class: u32,
        /// The number of classes counted.
        classes: usize,
    },
    /// The certificate is already complete.
    #[error("draws were counted after the certificate was complete")]
    Finished,
}

impl Certifier {
    /// Starts the certification of one input, smoothed at `sigma`. `loss` is what its certificates
    /// give up because the noise is drawn on a grid.
    #[must_use]
    pub fn new(spec: &CertifySpec, sigma: Sigma, loss: GridLoss) -> Self {
        Self {
            spec: spec.clone(),
            sigma,
            loss,
            state: CertifierState::Select,
        }
    }

    /// Returns the next step. Calling it again without new counts returns the same step.
    #[must_use]
    pub fn next(&self) -> CertifierStep {
        match &self.state {
            CertifierState::Select => self.selection_draws(),
            CertifierState::Estimate(estimate) => self.next_draws(estimate),
            CertifierState::Done(certificate) => CertifierStep::Done(*certificate),
        }
    }

    fn selection_draws(&self) -> CertifierStep {
        CertifierStep::Draw {
            phase: Phase::Select,
            chunk: 0,
            n: self.spec.n0.get(),
        }
    }

    fn next_draws(&self, estimate: &Estimate) -> CertifierStep {
        let drawn = estimate.counts.drawn;
        CertifierStep::Draw {
            phase: Phase::Estimate,
            chunk: drawn / self.spec.chunk,
            n: self.draws_at_once(estimate, estimate.plan.end - drawn),
        }
    }

    /// The number of the remaining draws that are made before the next decision. Under the bound of
    /// two classes it is made after all of them.
    fn draws_at_once(&self, estimate: &Estimate, left: u64) -> u64 {
        match estimate.plan.rule {
            BoundRule::OneClass => draws_at_once(&self.spec, left),
            BoundRule::TwoClass => left,
        }
    }

    /// Takes the counts, by class, of the draws that [`next`](Self::next) requested.
    ///
    /// # Errors
    /// When they do not add up to the number requested, or no draws were requested. The certifier
    /// then stays in its state.
    pub fn observe(&mut self, counts: &[u64]) -> Result<(), CertifyError> {
        let CertifierStep::Draw { phase, n, .. } = self.next() else {
            return Err(CertifyError::Finished);
        };
        check_total(phase, n, counts)?;
        self.state = match self.state {
            CertifierState::Select => CertifierState::Estimate(self.start_estimate(counts)),
            CertifierState::Estimate(estimate) => self.add(estimate, n, counts)?,
            CertifierState::Done(_) => return Err(CertifyError::Finished),
        };
        Ok(())
    }

    /// Guesses the class from the counts of the selection phase.
    fn start_estimate(&self, counts: &[u64]) -> Estimate {
        let guess = most_frequent(counts);
        let runner_up = runner_up(guess, counts);
        let selected = SelectionCounts {
            guess: counts.get(guess.0 as usize).copied().unwrap_or(0),
            runner_up: runner_up.map_or(0, |other| other.count),
        };
        Estimate {
            guess,
            runner_up: runner_up.map(|other| RunnerUp { count: 0, ..other }),
            selected,
            plan: EstimationPlan::new(&self.spec, selected),
            counts: Counts::default(),
            goal: None,
        }
    }

    /// Adds `n` draws to the estimation phase, and ends it if the stopping rule allows.
    fn add(
        &self,
        mut estimate: Estimate,
        n: u64,
        counts: &[u64],
    ) -> Result<CertifierState, CertifyError> {
        estimate.counts.count += count_of(estimate.guess, counts)?;
        if let Some(other) = &mut estimate.runner_up {
            other.count += count_of(other.class, counts)?;
        }
        estimate.counts.drawn += n;
        let ends = self.is_decided(&mut estimate) || estimate.counts.drawn == estimate.plan.end;
        let bounds = self
            .bounds()
            .of(estimate.plan.rule, estimate.estimation_counts());
        Ok(match bounds {
            Some(bounds) if ends => CertifierState::Done(self.certificate(&estimate, bounds)),
            _ => CertifierState::Estimate(estimate),
        })
    }

    fn bounds(&self) -> SampleBounds<'_> {
        SampleBounds {
            spec: &self.spec,
            sigma: self.sigma,
            loss: self.loss,
        }
    }

    fn is_decided(&self, estimate: &mut Estimate) -> bool {
        match &self.spec.stopping {
            Stopping::Radii(radii) if estimate.plan.may_stop_early(&self.spec) => {
                let target = stopping::Target::new(self.bounds(), radii);
                target.is_decided(estimate.counts, &mut estimate.goal)
            }
            _ => false,
        }
    }

    fn certificate(&self, estimate: &Estimate, bounds: ClassBounds) -> Certificate {
        Certificate {
            outcome: self.bounds().outcome(estimate.guess, bounds),
            n0: self.spec.n0.get(),
            n: estimate.counts.drawn,
            count: estimate.counts.count,
            p_lower: bounds.p_lower,
            p_upper: bounds.p_upper,
            runner_up: estimate.runner_up,
            n0_counts: self
                .spec
                .uses_selection_counts()
                .then_some(estimate.selected),
        }
    }
}

impl Estimate {
    fn estimation_counts(&self) -> EstimationCounts {
        EstimationCounts {
            n: self.counts.drawn,
            count: self.counts.count,
            runner_up: self.runner_up.map_or(0, |other| other.count),
        }
    }
}

fn check_total(phase: Phase, asked: u64, counts: &[u64]) -> Result<(), CertifyError> {
    let total = sum(counts);
    if total == u128::from(asked) {
        return Ok(());
    }
    Err(CertifyError::WrongTotal {
        phase,
        asked,
        total,
    })
}

fn sum(counts: &[u64]) -> u128 {
    counts.iter().map(|&count| u128::from(count)).sum()
}

fn count_of(class: Class, counts: &[u64]) -> Result<u64, CertifyError> {
    let missing = CertifyError::NoSuchClass {
        class: class.0,
        classes: counts.len(),
    };
    counts.get(class.0 as usize).copied().ok_or(missing)
}

/// The class with the largest count; the lowest number among equals, as numpy's `argmax`.
fn most_frequent(counts: &[u64]) -> Class {
    Class(stats::argmax(counts) as u32)
}

/// The most frequent class other than the guess, and its draws; the lowest number among equals.
fn runner_up(guess: Class, counts: &[u64]) -> Option<RunnerUp> {
    let classes = (0_u32..).zip(counts);
    let others = classes.filter(|&(class, _)| class != guess.0);
    let (class, &count) = others.max_by_key(|&(class, count)| (count, Reverse(class)))?;
    Some(RunnerUp {
        class: Class(class),
        count,
    })
}

#[cfg(test)]
mod error_rate;
#[cfg(test)]
mod tests;
