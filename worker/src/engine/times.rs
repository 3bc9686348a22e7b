//! Measures what the engine's threads spend their time on.
//!
//! On the CPU, clocks around the calls are enough. A GPU's calls return before their work is done,
//! and one later call then waits for all of it. A clock around a call would only measure how long
//! it took to queue the work.
//!
//! So on a GPU the first pass of a job and every 64th after it are timed alone: the thread waits
//! for the device before the pass, after its noise, and after its forward pass. Every other pass is
//! assumed to take as long as the last one that was timed. The rest of the time that the thread
//! spent on queueing and waiting is neither noise nor forward pass: classes were counted, or the
//! device was idle because it had no work in time. That rest is reported as counting, so that
//! `forward` does not claim it.
//!
//! A pass that is timed alone cannot overlap with the one before. So `forward` is, if anything, too
//! large, by the few launches before a first kernel runs. It never exceeds the thread's time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tch::Device;

use super::batch_mode::BatchMode;

/// One of this number of passes on a GPU is timed.
const TIMED_EVERY: u32 = 64;

/// Time by kind of work, summed over the threads.
#[derive(Debug, Default)]
pub(super) struct WorkTimes {
    noise: Clock,
    forward: Clock,
    pub(super) count: Clock,
    pub(super) sigma: Clock,
    pub(super) wait: Clock,
    /// The thread's whole time on passes of a GPU, queueing and waiting.
    device: Clock,
    timed: Mutex<TimedPasses>,
}

/// The choice of the GPU passes that are timed, and the times of the last one.
#[derive(Debug, Default)]
struct TimedPasses {
    /// Passes until the next one that is timed.
    until_next: u32,
    noise: Duration,
    forward: Duration,
}

/// Seconds by kind of work, summed over the threads.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TimeSplit {
    /// Drawing noise and adding it.
    pub noise: f64,
    /// Forward passes that are not part of an ascent.
    pub forward: f64,
    /// Counting classes, and deciding what follows. On a GPU also its idle time between passes.
    pub count: f64,
    /// The ascent to sigma, noise included. A search consists of ordinary passes.
    pub sigma: f64,
    /// Waiting for another thread: with no sample left to begin, or while it fetches the next one.
    pub wait: f64,
}

impl WorkTimes {
    /// Begins to time a pass.
    pub(super) fn start_pass(&self, device: Device, mode: BatchMode) -> PassTimer<'_> {
        let now = Instant::now();
        let mut timer = PassTimer {
            times: self,
            device,
            mode,
            is_timed: false,
            start: now,
            since: now,
        };
        if mode == BatchMode::Device {
            timer.is_timed = self.timed().is_next_timed();
            timer.lap();
        }
        timer
    }

    /// Makes the next pass on a GPU a timed one, since it may be of another network.
    pub(super) fn begin_job(&self) {
        self.timed().until_next = 0;
    }

    /// Times a call that reads results of passes, and waits for them.
    pub(super) fn read<T>(&self, mode: BatchMode, work: impl FnOnce() -> T) -> T {
        match mode {
            BatchMode::Host => self.forward.time(work),
            BatchMode::Device => self.device.time(work),
        }
    }

    pub(super) fn split(&self) -> TimeSplit {
        let split = TimeSplit {
            noise: self.noise.seconds(),
            forward: self.forward.seconds(),
            count: self.count.seconds(),
            sigma: self.sigma.seconds(),
            wait: self.wait.seconds(),
        };
        split.scaled_to_device(self.device.seconds())
    }

    fn timed(&self) -> MutexGuard<'_, TimedPasses> {
        // A panic elsewhere can at worst leave wrong durations here.
        self.timed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TimeSplit {
    /// Distributes the thread's time on passes of a GPU. Noise and forward passes get no more than
    /// all of it, and the rest counts as counting.
    fn scaled_to_device(self, device: f64) -> Self {
        if device <= 0.0 {
            return self;
        }
        let passes = (self.noise + self.forward).max(f64::MIN_POSITIVE);
        let share = (device / passes).min(1.0);
        Self {
            noise: self.noise * share,
            forward: self.forward * share,
            count: self.count + (device - passes).max(0.0),
            ..self
        }
    }
}

impl TimedPasses {
    /// Returns true if the pass that begins now is to be timed.
    fn is_next_timed(&mut self) -> bool {
        let is_timed = self.until_next == 0;
        self.until_next = if is_timed {
            TIMED_EVERY - 1
        } else {
            self.until_next - 1
        };
        is_timed
    }
}

/// The timer of one pass.
pub(super) struct PassTimer<'a> {
    times: &'a WorkTimes,
    device: Device,
    mode: BatchMode,
    /// True if the thread waits for the device between the parts.
    is_timed: bool,
    start: Instant,
    since: Instant,
}

impl PassTimer<'_> {
    /// Records that the noise is drawn and added, or queued.
    pub(super) fn noise_done(&mut self) {
        let spent = self.lap();
        match self.mode {
            BatchMode::Host => self.times.noise.add(spent),
            BatchMode::Device if self.is_timed => self.times.timed().noise = spent,
            BatchMode::Device => {}
        }
    }

    /// Records that the scores are computed, or queued.
    pub(super) fn forward_done(&mut self) {
        let spent = self.lap();
        match self.mode {
            BatchMode::Host => self.times.forward.add(spent),
            BatchMode::Device if self.is_timed => self.times.timed().forward = spent,
            BatchMode::Device => {}
        }
    }

    /// Records that everything of this pass is queued.
    pub(super) fn end(self) {
        if self.mode == BatchMode::Host {
            return;
        }
        let timed = self.times.timed();
        self.times.noise.add(timed.noise);
        self.times.forward.add(timed.forward);
        self.times.device.add(self.start.elapsed());
    }

    /// Returns the time since the last lap. Waits for the device if this pass is timed.
    fn lap(&mut self) -> Duration {
        if self.is_timed {
            wait_for(self.device);
        }
        let spent = self.since.elapsed();
        self.since = Instant::now();
        spent
    }
}

/// Waits until a GPU has done its work.
fn wait_for(device: Device) {
    if let Device::Cuda(number) = device {
        tch::Cuda::synchronize(number as i64);
    }
}

/// A sum of durations that threads add to.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    /// Runs `work` and adds the time that it took.
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

    /// Returns the split for a GPU whose passes took `device` seconds. The passes that were timed
    /// account for `noise` and `forward` seconds.
    fn split(device: u64, noise: u64, forward: u64) -> TimeSplit {
        let times = WorkTimes::default();
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

    fn timed_passes(times: &WorkTimes, passes: usize) -> Vec<bool> {
        times.begin_job();
        (0..passes)
            .map(|_| times.start_pass(Device::Cpu, BatchMode::Device).is_timed)
            .collect()
    }

    #[test]
    fn of_passes_on_a_gpu_the_first_of_a_job_is_timed_and_every_64th() {
        let times = WorkTimes::default();
        for passes in [3, 130] {
            let found = timed_passes(&times, passes);
            let expected: Vec<bool> = (0..passes).map(|place| place % 64 == 0).collect();
            assert_eq!(found, expected);
        }
        assert!(!times.start_pass(Device::Cpu, BatchMode::Host).is_timed);
    }
}
