//! The certifier of variants whose level a smoothed network selects: a state machine without IO.
//!
//! Levels 1 to m have a sigma s_j and an expert f_j each. The selector h answers under noise tau:
//! q_j(x) = P(h(x + tau Z) = j) and H(x) = argmax_j q_j(x). The classifier that is certified is
//! G(x) = g_H(x)(x), where g_j smooths f_j at s_j. It is one function of the input.
//!
//! 1. *select a level*: draw n0 times from the selector; J is the level drawn most often;
//! 2. *bound its probability*, and in the strong form those of the others, from fresh draws: level
//!    j is not selected within r_j;
//! 3. *certify the class* at level J, as [`Certifier`] does: J's expert keeps it within R_J;
//! 4. strong form: *bound the class at other levels* j that may be selected within R_J, in the
//!    order of r_j: the expert of j keeps it within R_j;
//! 5. the radius is R = min(R_J, min over j of max(r_j, R_j)); abstain unless it is above 0.
//!
//! The certificate is false only if one of the terms of step 5 is above its true value, and which
//! of them has the smallest true value does not depend on the draws. So each term may have all of
//! alpha: the bound of step 3, and together r_j and R_j of each other level. Each step is decided
//! by draws that are independent of those that it makes. `docs/STATISTICS.md` has the proof. The
//! idea is that of Sun, Mao & Vechev, "Dual randomized smoothing" (arXiv 2512.01782); the strong
//! form is an extension of it.

mod level_draws;
mod rules;
mod selector_draws;

pub use rules::SelectedRules;

use super::{Certificate, Certifier, CertifierStep, CertifyError, check_total};
use crate::domain::{LevelBound, LevelSelection, Outcome, Phase, Probability, Radius, Sigma};
use crate::grid::GridLoss;
use crate::spec::{CertifySpec, SelectedSpec};
use level_draws::LevelDraws;
use rules::nearest;
use selector_draws::SelectorDraws;

/// The certification of one input of a selected variant.
///
/// With probability at least 1 - alpha over the draws, either it abstains or G predicts the class
/// of its outcome everywhere within the radius.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectedCertifier {
    rules: SelectedRules,
    state: SelectedState,
}

#[derive(Debug, Clone, PartialEq)]
enum SelectedState {
    Selector(SelectorDraws),
    Class(ChosenLevel, Box<Certifier>),
    Other(ChosenLevel, Box<Certificate>, LevelDraws),
    Done(Box<SelectedCertificate>),
}

/// The level J, and the distances within which no other level is selected.
#[derive(Debug, Clone, PartialEq)]
struct ChosenLevel {
    selection: LevelSelection,
    /// r_j by level; 0 where the level may be selected at once.
    unreached: Vec<Radius>,
}

/// The network whose draws are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrawSource {
    /// The selector.
    Selector,
    /// The expert of a level.
    Expert(u32),
}

/// The next step of a [`SelectedCertifier`].
#[derive(Debug, Clone, PartialEq)]
pub enum SelectedStep {
    /// Classify the input under `n` draws of noise of this phase with one network, and
    /// [`observe`](SelectedCertifier::observe) the counts; see [`CertifierStep::Draw`].
    Draw {
        /// The network.
        source: DrawSource,
        /// The sigma of the noise.
        sigma: Sigma,
        /// The purpose of the draws.
        phase: Phase,
        /// The number of the first chunk of noise.
        chunk: u64,
        /// The number of draws.
        n: u64,
    },
    /// The certification is complete, with this result.
    Done(Box<SelectedCertificate>),
}

/// A certificate of a selected variant, or an abstention, with the counts that it follows from.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectedCertificate {
    /// The class and the radius R, and the draws of the expert of the chosen level.
    pub certificate: Certificate,
    /// The sigma of the chosen level.
    pub sigma: Sigma,
    /// The draws of the selector and of the other levels.
    pub selection: LevelSelection,
}

impl SelectedCertifier {
    /// Starts the certification of one input.
    #[must_use]
    pub fn new(spec: &CertifySpec, selected: &SelectedSpec, loss: GridLoss) -> Self {
        Self {
            rules: SelectedRules::new(spec, selected, loss),
            state: SelectedState::Selector(SelectorDraws::default()),
        }
    }

    /// Returns the next step. Calling it again without new counts returns the same step.
    #[must_use]
    pub fn next(&self) -> SelectedStep {
        let rules = &self.rules;
        match &self.state {
            SelectedState::Selector(draws) => draws.next(rules),
            SelectedState::Class(chosen, certifier) => class_draws(rules, chosen, certifier),
            SelectedState::Other(_, _, draws) => draws.next(rules),
            SelectedState::Done(certificate) => SelectedStep::Done(certificate.clone()),
        }
    }

    /// Takes the counts, by class of the network, of the draws that [`next`](Self::next) requested.
    ///
    /// # Errors
    /// When they do not add up to the number requested, or no draws were requested. The certifier
    /// then stays in its state.
    pub fn observe(&mut self, counts: &[u64]) -> Result<(), CertifyError> {
        let rules = &self.rules;
        let next = match &mut self.state {
            SelectedState::Selector(draws) => {
                draws.observe(rules, &rules.selected.level_counts(counts))?;
                draws.selection(rules).map(|found| chosen(rules, found))
            }
            SelectedState::Class(chosen, certifier) => {
                certifier.observe(counts)?;
                after_class(rules, chosen, certifier)
            }
            SelectedState::Other(chosen, class, draws) => {
                draws.observe(rules, counts)?;
                let bound = draws.bound(rules);
                bound.map(|bound| after_level(rules, chosen, class, bound))
            }
            SelectedState::Done(_) => return Err(CertifyError::Finished),
        };
        if let Some(next) = next {
            self.state = next;
        }
        Ok(())
    }
}

/// Checks that counts answer a request for draws, and returns the number of draws.
fn answered(step: &SelectedStep, counts: &[u64]) -> Result<u64, CertifyError> {
    let SelectedStep::Draw { phase, n, .. } = *step else {
        return Err(CertifyError::Finished);
    };
    check_total(phase, n, counts)?;
    Ok(n)
}

fn class_draws(rules: &SelectedRules, chosen: &ChosenLevel, certifier: &Certifier) -> SelectedStep {
    match certifier.next() {
        CertifierStep::Draw { phase, chunk, n } => SelectedStep::Draw {
            source: DrawSource::Expert(chosen.selection.level),
            sigma: rules.sigma(chosen.selection.level),
            phase,
            chunk,
            n,
        },
        CertifierStep::Done(class) => finished(rules, chosen, class).into(),
    }
}

/// Begins with the class at the chosen level. In the simple form a level that may change at once
/// has no radius, whatever the class is.
fn chosen(rules: &SelectedRules, selection: LevelSelection) -> SelectedState {
    let unreached = rules.unreached(&selection);
    let nearest = nearest(&unreached, selection.level);
    let needs_no_expert = rules.needs_no_expert(&selection);
    let chosen = ChosenLevel {
        selection,
        unreached,
    };
    if needs_no_expert {
        return SelectedState::Done(Box::new(finished(rules, &chosen, NO_CLASS)));
    }
    let spec = rules.class_within(nearest);
    let certifier = Certifier::new(&spec, rules.sigma(chosen.selection.level), rules.loss);
    SelectedState::Class(chosen, Box::new(certifier))
}

/// An abstention without draws of any expert.
const NO_CLASS: Certificate = Certificate {
    outcome: Outcome::Abstained,
    n0: 0,
    n: 0,
    count: 0,
    p_lower: Probability::ZERO,
    p_upper: None,
    runner_up: None,
    n0_counts: None,
};

fn after_class(
    rules: &SelectedRules,
    chosen: &ChosenLevel,
    certifier: &Certifier,
) -> Option<SelectedState> {
    match certifier.next() {
        CertifierStep::Done(class) => Some(next_level(rules, chosen.clone(), class)),
        CertifierStep::Draw { .. } => None,
    }
}

fn after_level(
    rules: &SelectedRules,
    chosen: &ChosenLevel,
    class: &Certificate,
    bound: LevelBound,
) -> SelectedState {
    let mut chosen = chosen.clone();
    chosen.selection.others.push(bound);
    next_level(rules, chosen, *class)
}

/// Begins with the next level whose bound may change the radius, or ends.
fn next_level(rules: &SelectedRules, chosen: ChosenLevel, class: Certificate) -> SelectedState {
    let Outcome::Certified {
        class: guess,
        radius,
    } = class.outcome
    else {
        return SelectedState::Done(Box::new(finished(rules, &chosen, class)));
    };
    match rules.next_level(&chosen.selection, &chosen.unreached, radius) {
        Some(level) => {
            let draws = LevelDraws::new(rules, level, guess);
            SelectedState::Other(chosen, Box::new(class), draws)
        }
        None => SelectedState::Done(Box::new(finished(rules, &chosen, class))),
    }
}

fn finished(
    rules: &SelectedRules,
    chosen: &ChosenLevel,
    class: Certificate,
) -> SelectedCertificate {
    SelectedCertificate {
        certificate: Certificate {
            outcome: outcome(rules, &chosen.selection, class.outcome),
            ..class
        },
        sigma: rules.sigma(chosen.selection.level),
        selection: chosen.selection.clone(),
    }
}

/// The outcome of G, where `at_level` is that of the chosen level.
fn outcome(rules: &SelectedRules, selection: &LevelSelection, at_level: Outcome) -> Outcome {
    let Outcome::Certified { class, radius } = at_level else {
        return Outcome::Abstained;
    };
    match rules.radius(selection, radius) {
        Some(radius) => Outcome::Certified { class, radius },
        None => Outcome::Abstained,
    }
}

impl From<SelectedCertificate> for SelectedStep {
    fn from(certificate: SelectedCertificate) -> Self {
        Self::Done(Box::new(certificate))
    }
}

#[cfg(test)]
mod error_rate;
#[cfg(test)]
mod tests;
