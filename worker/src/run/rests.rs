//! Sweeps that are not asked for a while, since asking them came to nothing the last time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ddrs_common::domain::SweepId;

/// Sweeps at rest, each for longer the oftener it had to rest in a row.
pub(super) struct Rests {
    lengths: &'static [Duration],
    sweeps: HashMap<SweepId, Rest>,
}

struct Rest {
    times: usize,
    until: Instant,
}

impl Rests {
    /// The first rest in a row lasts the first of these lengths, and so on; all further ones the
    /// last.
    pub(super) fn of(lengths: &'static [Duration]) -> Self {
        Self {
            lengths,
            sweeps: HashMap::new(),
        }
    }

    /// Lets a sweep rest from now on. Returns which rest in a row this is, from 1.
    pub(super) fn begin(&mut self, sweep: &SweepId) -> usize {
        let times = 1 + self.times(sweep);
        let length = self
            .lengths
            .get(times - 1)
            .or(self.lengths.last())
            .copied()
            .unwrap_or_default();
        self.sweeps.insert(
            sweep.clone(),
            Rest {
                times,
                until: Instant::now() + length,
            },
        );
        times
    }

    /// All is well with a sweep. Returns whether it was not before.
    pub(super) fn end(&mut self, sweep: &SweepId) -> bool {
        self.sweeps.remove(sweep).is_some()
    }

    /// Whether a sweep should be left alone now.
    pub(super) fn lasts(&self, sweep: &SweepId) -> bool {
        self.sweeps
            .get(sweep)
            .is_some_and(|rest| Instant::now() < rest.until)
    }

    /// How many rests in a row a sweep had.
    pub(super) fn times(&self, sweep: &SweepId) -> usize {
        self.sweeps.get(sweep).map_or(0, |rest| rest.times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [Duration; 2] = [Duration::ZERO, Duration::from_secs(3600)];

    #[test]
    fn a_sweep_rests_longer_each_time_until_all_is_well() {
        let (mut rests, sweep) = (Rests::of(&LENGTHS), SweepId::from_digest(&[1; 32]));
        assert!(!rests.lasts(&sweep) && !rests.end(&sweep));
        assert_eq!(rests.begin(&sweep), 1);
        assert!(!rests.lasts(&sweep), "its rest is over");
        for times in 2..5 {
            assert_eq!(rests.begin(&sweep), times);
            assert!(rests.lasts(&sweep));
        }
        assert!(
            !rests.lasts(&SweepId::from_digest(&[2; 32])),
            "others do not rest with it"
        );
        assert!(rests.end(&sweep) && !rests.lasts(&sweep));
        assert_eq!(rests.begin(&sweep), 1);
    }
}
