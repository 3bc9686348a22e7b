//! Where the time of the lanes goes.
//!
//! On the CPU clocks around the calls say it. A GPU's calls return before their work is done, and
//! the wait for all of it falls on whichever call comes to wait: a clock around a call tells only
//! how long it took to ask. So there the first pass of a job and every 64th after it is timed with
//! nothing else under way: the lane waits for the device before it, after its noise, after its
//! forward pass. Each pass until the next of these is taken to cost as much. What is left of the
//! time that the lane spent on asking and waiting is neither noise nor forward pass: classes
//! counted, and the device idle because it was not asked in time. It is given as counting, so that
//! `forward` does not claim it. A pass that is timed alone cannot overlap with the one before, so
//! `forward` is if anything too large, by the few launches before a first kernel runs; it is never
//! more than the lane's time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tch::Device;

use super::Side;

/// Passes on a GPU of which one is timed.
const TIMED_OF: u32 = 64;

/// Nanoseconds by kind of work, summed over the lanes.
#[derive(Debug, Default)]
pub struct Times {
    pub(super) noise: Clock,
    pub(super) forward: Clock,
    pub(super) count: Clock,
    pub(super) sigma: Clock,
    pub(super) wait: Clock,
    /// What a lane spent on passes of a GPU in all, asking and waiting.
    device: Clock,
    rhythm: Mutex<Rhythm>,
}

/// Which passes of a GPU are timed, and what the last of them came to.
#[derive(Debug, Default)]
struct Rhythm {
    /// How many passes until the next.
    left: u32,
    noise: Duration,
    forward: Duration,
}

/// Seconds by kind of work, summed over the lanes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TimeSplit {
    /// Drawing noise and adding it.
    pub noise: f64,
    /// Forward passes that are not part of a climb.
    pub forward: f64,
    /// Counting classes, and deciding what follows. On a GPU also its idle time between passes.
    pub count: f64,
    /// Climbing to sigma, noise included. A search is made of passes like any other.
    pub sigma: f64,
    /// Waiting for another lane: with nothing left to begin, or while that one fetches what comes
    /// next.
    pub wait: f64,
}

impl Times {
    /// Begins to time a pass.
    pub(super) fn lap(&self, device: Device, side: Side) -> Lap<'_> {
        let mut lap = Lap {
            times: self,
            device,
            side,
            timed: false,
            start: Instant::now(),
            since: Instant::now(),
        };
        if side == Side::Device {
            let mut rhythm = self.rhythm();
            lap.timed = rhythm.left == 0;
            rhythm.left = if lap.timed {
                TIMED_OF - 1
            } else {
                rhythm.left - 1
            };
            drop(rhythm);
            lap.split();
        }
        lap
    }

    /// Times the next pass of a GPU, since it may be of another network.
    pub(super) fn begin_job(&self) {
        self.rhythm().left = 0;
    }

    /// Reads something that passes came to, and waits for them.
    pub(super) fn read<T>(&self, side: Side, work: impl FnOnce() -> T) -> T {
        match side {
            Side::Host => self.forward.time(work),
            Side::Device => self.device.time(work),
        }
    }

    pub(super) fn split(&self) -> TimeSplit {
        let all = [
            &self.noise,
            &self.forward,
            &self.count,
            &self.sigma,
            &self.wait,
        ];
        let [mut noise, mut forward, mut count, sigma, wait] = all.map(Clock::seconds);
        let device = self.device.seconds();
        if device > 0.0 {
            let known = (noise + forward).max(f64::MIN_POSITIVE);
            let share = (device / known).min(1.0);
            (noise, forward, count) = (
                noise * share,
                forward * share,
                count + (device - known).max(0.0),
            );
        }
        TimeSplit {
            noise,
            forward,
            count,
            sigma,
            wait,
        }
    }

    fn rhythm(&self) -> std::sync::MutexGuard<'_, Rhythm> {
        // Numbers that are wrong at worst.
        self.rhythm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One pass, while it is made.
pub(super) struct Lap<'a> {
    times: &'a Times,
    device: Device,
    side: Side,
    /// Whether the device is waited for between the parts.
    timed: bool,
    start: Instant,
    since: Instant,
}

impl Lap<'_> {
    /// The noise is drawn and added, or asked for.
    pub(super) fn drawn(&mut self) {
        let spent = self.split();
        match self.side {
            Side::Host => self.times.noise.add(spent),
            Side::Device if self.timed => self.times.rhythm().noise = spent,
            Side::Device => {}
        }
    }

    /// The scores are computed, or asked for.
    pub(super) fn scored(&mut self) {
        let spent = self.split();
        match self.side {
            Side::Host => self.times.forward.add(spent),
            Side::Device if self.timed => self.times.rhythm().forward = spent,
            Side::Device => {}
        }
    }

    /// Everything of this pass is asked for.
    pub(super) fn end(self) {
        if self.side == Side::Device {
            let (noise, forward) = {
                let rhythm = self.times.rhythm();
                (rhythm.noise, rhythm.forward)
            };
            self.times.noise.add(noise);
            self.times.forward.add(forward);
            self.times.device.add(self.start.elapsed());
        }
    }

    fn split(&mut self) -> Duration {
        if let (true, Device::Cuda(number)) = (self.timed, self.device) {
            tch::Cuda::synchronize(number as i64);
        }
        let spent = self.since.elapsed();
        self.since = Instant::now();
        spent
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a GPU that took so many seconds for its passes, where those that were timed account for
    /// so many.
    fn split(device: u64, noise: u64, forward: u64) -> TimeSplit {
        let times = Times::default();
        times.noise.add(Duration::from_secs(noise));
        times.forward.add(Duration::from_secs(forward));
        times.count.add(Duration::from_secs(1));
        times.device.add(Duration::from_secs(device));
        times.split()
    }

    #[test]
    fn what_a_gpu_was_not_seen_to_work_counts_against_the_forward_passes() {
        assert_eq!(
            split(100, 4, 90),
            TimeSplit {
                noise: 4.0,
                forward: 90.0,
                count: 7.0,
                ..TimeSplit::default()
            }
        );
    }

    #[test]
    fn passes_never_take_more_than_all_the_time() {
        assert_eq!(
            split(50, 10, 90),
            TimeSplit {
                noise: 5.0,
                forward: 45.0,
                count: 1.0,
                ..TimeSplit::default()
            }
        );
    }

    #[test]
    fn of_passes_on_a_gpu_the_first_of_a_job_is_timed_and_every_64th() {
        let times = Times::default();
        let timed = |passes: usize| -> Vec<bool> {
            times.begin_job();
            (0..passes)
                .map(|_| times.lap(Device::Cpu, Side::Device).timed)
                .collect()
        };
        for passes in [3, 130] {
            let found = timed(passes);
            assert!(
                found
                    .iter()
                    .enumerate()
                    .all(|(place, &timed)| timed == (place % 64 == 0)),
                "{found:?}"
            );
        }
        assert!(!times.lap(Device::Cpu, Side::Host).timed);
    }
}
