//! The sweeps that a worker has looked at: those that it serves, and those that it cannot work on
//! for now.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use ddrs_common::domain::SweepId;

use super::Assignment;

/// How long after a refusal a sweep is looked at again: a mount may come late, a file may be
/// mended.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The pause doubles up to this: looking again reads data and models.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Every sweep that this worker has seen.
#[derive(Default)]
pub(super) struct Known {
    sweeps: HashMap<SweepId, Served>,
    /// Why, and for how long, a sweep was refused last; kept until a job of it is done, for one
    /// whose data are at hand may still be one that cannot be worked on.
    last: HashMap<SweepId, (String, Duration)>,
}

/// A sweep as this worker has come to know it.
pub(super) enum Served {
    /// Its data and models are at hand.
    Open(Arc<Assignment>),
    /// It cannot be worked on here.
    Refused(Refusal),
}

/// Why not, and until when.
pub(super) struct Refusal {
    reason: String,
    again: Instant,
}

impl Refusal {
    /// Whether the sweep should be looked at again.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.again
    }
}

impl Known {
    /// What is known of a sweep.
    pub(super) fn get(&self, sweep: &SweepId) -> Option<&Served> {
        self.sweeps.get(sweep)
    }

    /// A sweep can be worked on.
    pub(super) fn serve(&mut self, sweep: &SweepId, assignment: Arc<Assignment>) {
        self.sweeps.insert(sweep.clone(), Served::Open(assignment));
    }

    /// A sweep cannot be worked on for now. Returns for how long, and whether the reason is new.
    pub(super) fn refuse(&mut self, sweep: &SweepId, reason: &str) -> (Duration, bool) {
        let (pause, new) = match self.last.get(sweep) {
            Some((last, pause)) => (LONGEST_PAUSE.min(*pause * 2), last != reason),
            None => (FIRST_PAUSE, true),
        };
        self.last.insert(sweep.clone(), (reason.to_owned(), pause));
        let refusal = Refusal {
            reason: reason.to_owned(),
            again: Instant::now() + pause,
        };
        self.sweeps.insert(sweep.clone(), Served::Refused(refusal));
        (pause, new)
    }

    /// A job of a sweep is done: that it was refused once matters no more.
    pub(super) fn worked(&mut self, sweep: &SweepId) {
        self.last.remove(sweep);
    }

    /// A sweep is over: that it was refused once matters no more.
    pub(super) fn forget(&mut self, sweep: &SweepId) {
        self.last.remove(sweep);
        self.sweeps.remove(sweep);
    }

    /// The sweeps that are worked on.
    pub(super) fn served(&self) -> impl Iterator<Item = &SweepId> {
        self.sweeps
            .iter()
            .filter(|(_, served)| matches!(served, Served::Open(_)))
            .map(|(sweep, _)| sweep)
    }

    /// Whether there was anything that this worker could do, or nothing at all.
    ///
    /// # Errors
    /// The reasons, when every sweep was refused.
    pub(super) fn anything_served(&self) -> Result<()> {
        let reasons = self.sweeps.values().filter_map(|served| match served {
            Served::Refused(refusal) => Some(refusal.reason.as_str()),
            Served::Open(_) => None,
        });
        let reasons: Vec<&str> = reasons.collect();
        if !reasons.is_empty() && reasons.len() == self.sweeps.len() {
            return Err(anyhow!(reasons.join("; ")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_sweep_is_looked_at_again_less_and_less_often() {
        let (mut known, sweep) = (Known::default(), SweepId::from_digest(&[1; 32]));
        let mut pauses = Vec::new();
        for _ in 0..12 {
            pauses.push(known.refuse(&sweep, "no such file").0.as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert!(!known.refuse(&sweep, "no such file").1);
        assert!(
            known.refuse(&sweep, "permission denied").1,
            "another reason is worth saying"
        );
        assert!(matches!(known.get(&sweep), Some(Served::Refused(refusal)) if !refusal.is_over()));
        assert!(
            known
                .anything_served()
                .is_err_and(|error| error.to_string() == "permission denied")
        );
    }
}
