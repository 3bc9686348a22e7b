//! The draws of the class at another level than the chosen one.

use super::rules::OpenLevel;
use super::{DrawSource, SelectedRules, SelectedStep, answered};
use crate::certify::stopping::{Counts, Goal, Target, draws_at_once};
use crate::certify::{CertifyError, count_of, pilot};
use crate::domain::{Class, LevelBound, Phase};
use crate::spec::{CertifySpec, Stopping};

/// The draws so far.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LevelDraws {
    level: u32,
    class: Class,
    /// The draws of the class in the selection phase of this level.
    n0_count: Option<u64>,
    /// The specification, with the radii that this level can decide.
    spec: CertifySpec,
    /// The largest number of draws that bound; `None` before the draws that choose it.
    end: Option<u64>,
    counts: Counts,
    goal: Option<Goal>,
    is_decided: bool,
}

impl LevelDraws {
    /// Begins with a level.
    pub(super) fn new(rules: &SelectedRules, open: OpenLevel, class: Class) -> Self {
        let spec = rules.level_between(open);
        Self {
            level: open.level,
            class,
            n0_count: None,
            end: (!rules.has_pilots()).then_some(spec.n.get()),
            spec,
            counts: Counts::default(),
            goal: None,
            is_decided: false,
        }
    }

    pub(super) fn next(&self, rules: &SelectedRules) -> SelectedStep {
        let drawn = self.counts.drawn;
        SelectedStep::Draw {
            source: DrawSource::Expert(self.level),
            sigma: rules.sigma(self.level),
            phase: self.phase(),
            chunk: drawn / self.spec.chunk,
            n: match self.end {
                None => self.spec.n0.get(),
                Some(end) => draws_at_once(&self.spec, end - drawn),
            },
        }
    }

    fn phase(&self) -> Phase {
        match self.end {
            None => Phase::LevelSelect(self.level),
            Some(_) => Phase::LevelEstimate(self.level),
        }
    }

    pub(super) fn observe(
        &mut self,
        rules: &SelectedRules,
        counts: &[u64],
    ) -> Result<(), CertifyError> {
        let n = answered(&self.next(rules), counts)?;
        let count = count_of(self.class, counts)?;
        match self.end {
            None => self.start(count),
            Some(end) => self.add(rules, n, count, end),
        }
        Ok(())
    }

    fn start(&mut self, count: u64) {
        self.n0_count = Some(count);
        self.end = Some(pilot::largest_number_of_draws(&self.spec, count));
    }

    fn add(&mut self, rules: &SelectedRules, n: u64, count: u64, end: u64) {
        self.counts.drawn += n;
        self.counts.count += count;
        self.is_decided = self.counts.drawn == end || self.may_stop(rules);
    }

    fn may_stop(&mut self, rules: &SelectedRules) -> bool {
        let Stopping::Radii(radii) = &self.spec.stopping else {
            return false;
        };
        let target = Target::new(rules.of_level(&self.spec, self.level), radii);
        target.is_decided(self.counts, &mut self.goal)
    }

    /// The bound on the class, once the draws have ended.
    pub(super) fn bound(&self, rules: &SelectedRules) -> Option<LevelBound> {
        let bounds = rules.of_level(&rules.level, self.level);
        let p_lower = bounds.lower(self.counts).filter(|_| self.is_decided)?;
        Some(LevelBound {
            level: self.level,
            n0_count: self.n0_count,
            n: self.counts.drawn,
            count: self.counts.count,
            p_lower,
        })
    }
}
