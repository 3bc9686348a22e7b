//! Where the time of the lanes goes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Nanoseconds by kind of work, summed over the lanes.
#[derive(Debug, Default)]
pub struct Times {
    pub(super) noise: Clock,
    pub(super) forward: Clock,
    pub(super) count: Clock,
    pub(super) sigma: Clock,
}

/// Seconds by kind of work, summed over the lanes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    /// Drawing noise and adding it.
    pub noise: f64,
    /// Forward passes of the select and estimate phases.
    pub forward: f64,
    /// Counting classes.
    pub count: f64,
    /// Choosing sigma, noise included.
    pub sigma: f64,
}

impl Times {
    pub(super) fn split(&self) -> Split {
        let [noise, forward, count, sigma] = [&self.noise, &self.forward, &self.count, &self.sigma].map(Clock::seconds);
        Split { noise, forward, count, sigma }
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
        self.0.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        done
    }

    fn seconds(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64 / 1e9
    }
}
