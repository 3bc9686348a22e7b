//! Where the time of the lanes goes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nanoseconds by kind of work, summed over the lanes.
#[derive(Debug, Default)]
pub struct Times {
    pub(super) noise: Clock,
    pub(super) forward: Clock,
    pub(super) count: Clock,
    pub(super) sigma: Clock,
    pub(super) wait: Clock,
}

/// Seconds by kind of work, summed over the lanes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Split {
    /// Drawing noise and adding it.
    pub noise: f64,
    /// Forward passes that are not part of a climb.
    pub forward: f64,
    /// Counting classes, and deciding what follows.
    pub count: f64,
    /// Climbing to sigma, noise included. A search is made of passes like any other.
    pub sigma: f64,
    /// Waiting for another lane, with nothing left to begin.
    pub wait: f64,
}

impl Times {
    pub(super) fn split(&self) -> Split {
        let all = [&self.noise, &self.forward, &self.count, &self.sigma, &self.wait];
        let [noise, forward, count, sigma, wait] = all.map(Clock::seconds);
        Split { noise, forward, count, sigma, wait }
    }
}

/// A sum of durations that threads add to.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    /// Runs and times.
    pub(super) fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.add(start.elapsed());
        done
    }

    pub(super) fn add(&self, time: Duration) {
        self.0.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    fn seconds(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64 / 1e9
    }
}
