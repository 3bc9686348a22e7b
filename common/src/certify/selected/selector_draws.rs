//! The draws of the selector: the guess of the level, then the bound on its probability.

use super::{DrawSource, SelectedRules, SelectedStep, answered};
use crate::certify::stopping::{Counts, Goal, Target, draws_at_once};
use crate::certify::{CertifyError, pilot};
use crate::domain::{LevelSelection, Phase, Probability, Radii, Radius};
use crate::spec::Stopping;
use crate::stats;

/// The draws so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct SelectorDraws {
    guess: Option<LevelGuess>,
    /// The draws that bound, by level.
    counts: Vec<u64>,
    goal: Option<Goal>,
    is_decided: bool,
}

/// The guess, and the largest number of draws that bound its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
struct LevelGuess {
    level: usize,
    /// The draws that gave it.
    n0_count: u64,
    end: u64,
}

impl SelectorDraws {
    fn drawn(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) fn next(&self, rules: &SelectedRules) -> SelectedStep {
        let spec = &rules.selector;
        let drawn = self.drawn();
        SelectedStep::Draw {
            source: DrawSource::Selector,
            sigma: rules.selected.tau,
            phase: self.phase(),
            chunk: drawn / spec.chunk,
            n: match self.guess {
                None => spec.n0.get(),
                Some(guess) => draws_at_once(spec, guess.end - drawn),
            },
        }
    }

    fn phase(&self) -> Phase {
        match self.guess {
            None => Phase::SelectorSelect,
            Some(_) => Phase::SelectorEstimate,
        }
    }

    pub(super) fn observe(
        &mut self,
        rules: &SelectedRules,
        counts: &[u64],
    ) -> Result<(), CertifyError> {
        answered(&self.next(rules), counts)?;
        match self.guess {
            None => self.start(rules, counts),
            Some(guess) => self.add(rules, guess, counts),
        }
        Ok(())
    }

    fn start(&mut self, rules: &SelectedRules, counts: &[u64]) {
        let level = stats::argmax(counts);
        self.counts = vec![0; counts.len()];
        self.guess = Some(LevelGuess {
            level,
            n0_count: counts[level],
            end: pilot::largest_number_of_draws(&rules.selector, counts[level]),
        });
    }

    fn add(&mut self, rules: &SelectedRules, guess: LevelGuess, counts: &[u64]) {
        for (sum, count) in self.counts.iter_mut().zip(counts) {
            *sum += count;
        }
        self.is_decided = self.drawn() == guess.end || self.may_stop(rules, guess);
    }

    fn may_stop(&mut self, rules: &SelectedRules, guess: LevelGuess) -> bool {
        let Stopping::Radii(radii) = &rules.selector.stopping else {
            return false;
        };
        if rules.selected.bounds_each_level() {
            return self.is_each_level_decided(rules, guess, radii);
        }
        let target = Target::new(rules.of_selector(), radii);
        let counts = Counts {
            drawn: self.drawn(),
            count: self.counts[guess.level],
        };
        target.is_decided(counts, &mut self.goal)
    }

    /// Returns true if more draws are not expected to raise any r_j to the next radius. It is only
    /// an expectation: stopping is sound at any time.
    fn is_each_level_decided(
        &self,
        rules: &SelectedRules,
        guess: LevelGuess,
        radii: &Radii,
    ) -> bool {
        let Some(now) = self.selection_of(rules, guess) else {
            return false;
        };
        let now = rules.unreached(&now);
        let levels = (0..now.len()).filter(|&level| level != guess.level);
        levels.into_iter().all(|level| {
            let mut above = radii.iter().filter(|&radius| !reaches(now[level], radius));
            above
                .next()
                .is_none_or(|next| !reaches(self.hopeful_distance(rules, guess, level), next))
        })
    }

    /// r_j after all draws, where the counts grow as far as can be hoped.
    fn hopeful_distance(&self, rules: &SelectedRules, guess: LevelGuess, level: usize) -> Radius {
        let n = rules.selector.n.get();
        let drawn = self.drawn();
        let counts = [self.counts[guess.level], drawn - self.counts[level]];
        let [own, others] = counts.map(|count| {
            let count = hopeful(count, drawn, n);
            rules.of_selector().lower(Counts { drawn: n, count })
        });
        rules.unreached_by(own.unwrap_or(Probability::ZERO), others)
    }

    /// The level with its bound, once the draws have ended.
    pub(super) fn selection(&self, rules: &SelectedRules) -> Option<LevelSelection> {
        self.selection_of(rules, self.guess.filter(|_| self.is_decided)?)
    }

    fn selection_of(&self, rules: &SelectedRules, guess: LevelGuess) -> Option<LevelSelection> {
        let counts = Counts {
            drawn: self.drawn(),
            count: self.counts[guess.level],
        };
        Some(LevelSelection {
            level: guess.level as u32,
            n0: rules.selector.n0.get(),
            n0_count: rules.has_pilots().then_some(guess.n0_count),
            p_lower: rules.of_selector().lower(counts)?,
            counts: self.counts.clone(),
            others: Vec::new(),
        })
    }
}

/// Returns true if a distance certifies a radius. A distance of 0 certifies none.
fn reaches(distance: Radius, radius: Radius) -> bool {
    distance >= radius && distance > Radius::ZERO
}

/// The count of `n` draws that four standard deviations above the expected one would give.
fn hopeful(count: u64, drawn: u64, n: u64) -> u64 {
    let left = n.saturating_sub(drawn) as f64;
    let share = (count as f64 + 1.0) / (drawn as f64 + 2.0);
    let variance = share * (1.0 - share) * left * (1.0 + left / drawn.max(1) as f64);
    let gained = (left * share + 4.0 * variance.sqrt()).min(left);
    count + gained as u64
}
