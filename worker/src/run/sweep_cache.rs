//! The sweeps that a worker has seen: those that it serves, and those that it cannot work on for
//! now.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use ddrs_common::domain::SweepId;
use ddrs_common::queue::Backoff;

use super::open_sweep::OpenSweep;

/// Pauses between a refusal and the next check of the sweep: a mount may come late, a file may be
/// repaired. A check reads data and models, so the pauses grow.
const CHECK_AGAIN: Backoff = Backoff::new(Duration::from_secs(1), 2, Duration::from_secs(300));

/// Every sweep that this worker has seen.
#[derive(Default)]
pub(super) struct SweepCache {
    sweeps: HashMap<SweepId, CachedSweep>,
    /// The last refusal of each sweep, kept until one of its jobs is completed: a sweep whose data
    /// can be opened may still be one that cannot be worked on.
    refused: HashMap<SweepId, LastRefusal>,
}

struct LastRefusal {
    reason: String,
    backoff: Backoff,
}

/// A sweep as this worker knows it.
pub(super) enum CachedSweep {
    /// Its data and models are open.
    Open(Arc<OpenSweep>),
    /// It cannot be worked on here.
    Refused(Refusal),
}

/// The reason why a sweep cannot be worked on, and the time of the next check.
pub(super) struct Refusal {
    reason: String,
    again: Instant,
}

impl Refusal {
    /// Returns true if the sweep should be checked again.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.again
    }
}

impl SweepCache {
    /// Returns the state of a sweep.
    pub(super) fn get(&self, sweep: &SweepId) -> Option<&CachedSweep> {
        self.sweeps.get(sweep)
    }

    /// Stores a sweep that can be worked on.
    pub(super) fn serve(&mut self, sweep: &SweepId, open: Arc<OpenSweep>) {
        self.sweeps.insert(sweep.clone(), CachedSweep::Open(open));
    }

    /// Stores a sweep that cannot be worked on for now. Returns the time until the next check, and
    /// true if the reason is new.
    pub(super) fn refuse(&mut self, sweep: &SweepId, reason: &str) -> (Duration, bool) {
        let last = self.refused.remove(sweep);
        let is_new = last.as_ref().is_none_or(|last| last.reason != reason);
        let mut backoff = last.map_or(CHECK_AGAIN, |last| last.backoff);
        let pause = backoff.pause();
        let reason = reason.to_owned();
        let refusal = Refusal {
            reason: reason.clone(),
            again: Instant::now() + pause,
        };
        let last = LastRefusal { reason, backoff };
        self.refused.insert(sweep.clone(), last);
        self.sweeps
            .insert(sweep.clone(), CachedSweep::Refused(refusal));
        (pause, is_new)
    }

    /// Forgets the refusals of a sweep one of whose jobs was completed.
    pub(super) fn clear_refusals(&mut self, sweep: &SweepId) {
        self.refused.remove(sweep);
    }

    /// Forgets a sweep that has ended.
    pub(super) fn forget(&mut self, sweep: &SweepId) {
        self.refused.remove(sweep);
        self.sweeps.remove(sweep);
    }

    /// Returns the sweeps that are worked on.
    pub(super) fn served(&self) -> impl Iterator<Item = &SweepId> {
        let is_open = |(_, cached): &(_, &CachedSweep)| matches!(cached, CachedSweep::Open(_));
        self.sweeps.iter().filter(is_open).map(|(sweep, _)| sweep)
    }

    /// Checks that the worker did not refuse every sweep that it saw.
    ///
    /// # Errors
    /// The reasons, when every sweep was refused.
    pub(super) fn check_not_all_refused(&self) -> Result<()> {
        let reasons: Vec<&str> = self.sweeps.values().filter_map(refusal_reason).collect();
        if !reasons.is_empty() && reasons.len() == self.sweeps.len() {
            return Err(anyhow!(reasons.join("; ")));
        }
        Ok(())
    }
}

fn refusal_reason(cached: &CachedSweep) -> Option<&str> {
    match cached {
        CachedSweep::Refused(refusal) => Some(&refusal.reason),
        CachedSweep::Open(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_sweep_is_checked_again_after_longer_and_longer_pauses() {
        let mut cache = SweepCache::default();
        let sweep = SweepId::from_digest(&[1; 32]);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            pauses.push(cache.refuse(&sweep, "no such file").0.as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert!(!cache.refuse(&sweep, "no such file").1);
        assert!(
            cache.refuse(&sweep, "permission denied").1,
            "another reason is worth a message"
        );
        assert!(
            matches!(cache.get(&sweep), Some(CachedSweep::Refused(refusal)) if !refusal.is_over())
        );
        assert!(
            cache
                .check_not_all_refused()
                .is_err_and(|error| error.to_string() == "permission denied")
        );
    }
}
