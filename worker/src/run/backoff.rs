//! Sweeps that are skipped for a while because the last request to them failed.

use std::collections::HashMap;
use std::time::Instant;

use ddrs_common::domain::SweepId;
use ddrs_common::queue::Backoff;

/// Pauses per sweep, each longer than the one before for as long as its requests keep failing.
pub(super) struct SweepBackoff {
    backoff: Backoff,
    paused: HashMap<SweepId, Pause>,
}

struct Pause {
    /// Number of pauses in a row, this one included.
    times: usize,
    until: Instant,
    backoff: Backoff,
}

impl SweepBackoff {
    /// Starts without pauses; those of each sweep follow `backoff`.
    pub(super) fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            paused: HashMap::new(),
        }
    }

    /// Pauses a sweep from now on. Returns the number of pauses in a row, from 1.
    pub(super) fn begin(&mut self, sweep: &SweepId) -> usize {
        let before = self.paused.remove(sweep);
        let mut backoff = before.as_ref().map_or(self.backoff, |pause| pause.backoff);
        let times = 1 + before.map_or(0, |pause| pause.times);
        let until = Instant::now() + backoff.pause();
        let pause = Pause {
            times,
            until,
            backoff,
        };
        self.paused.insert(sweep.clone(), pause);
        times
    }

    /// Ends the pauses of a sweep. Returns true if it had any.
    pub(super) fn end(&mut self, sweep: &SweepId) -> bool {
        self.paused.remove(sweep).is_some()
    }

    /// Returns true if a sweep should be skipped now.
    pub(super) fn is_paused(&self, sweep: &SweepId) -> bool {
        let pause = self.paused.get(sweep);
        pause.is_some_and(|pause| Instant::now() < pause.until)
    }

    /// Returns true if the last request to a sweep failed.
    pub(super) fn has_failed(&self, sweep: &SweepId) -> bool {
        self.paused.contains_key(sweep)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_sweep_is_skipped_until_its_requests_succeed() {
        let mut backoff = SweepBackoff::new(Backoff::new(HOUR, 2, 2 * HOUR));
        let sweep = SweepId::from_digest(&[1; 32]);
        assert!(!backoff.is_paused(&sweep) && !backoff.end(&sweep));
        for times in 1..5 {
            assert_eq!(backoff.begin(&sweep), times);
            assert!(backoff.is_paused(&sweep) && backoff.has_failed(&sweep));
        }
        assert!(
            !backoff.is_paused(&SweepId::from_digest(&[2; 32])),
            "others are not skipped with it"
        );
        assert!(backoff.end(&sweep) && !backoff.is_paused(&sweep));
        assert_eq!(backoff.begin(&sweep), 1);
    }

    #[test]
    fn a_pause_ends_by_itself_and_is_still_counted() {
        let mut backoff = SweepBackoff::new(Backoff::new(Duration::ZERO, 2, HOUR));
        let sweep = SweepId::from_digest(&[1; 32]);
        assert_eq!(backoff.begin(&sweep), 1);
        assert!(!backoff.is_paused(&sweep), "its pause is over");
        assert_eq!(backoff.begin(&sweep), 2);
    }
}
