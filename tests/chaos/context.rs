//! Holds the state of one case: its size, the random generator of its schedule, and the counts of
//! the faults that happened.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The size of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Takes seconds. Every test run includes it.
    Short,
    /// Takes minutes. `make chaos` runs it.
    Full,
}

/// The state of one case while it runs.
pub struct ChaosContext {
    size: Size,
    /// The only source of random choices in the schedule.
    pub rng: ChaCha8Rng,
    name: &'static str,
    started: Instant,
    faults: Vec<(&'static str, Count)>,
    samples: u64,
    skipped: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    happened: u64,
    announced: u64,
}

/// The result of a case.
#[derive(Debug, Clone)]
pub struct CaseReport {
    /// The case's name.
    pub name: &'static str,
    /// The number of times that each fault happened, and each event that only a fault can cause.
    pub faults: Vec<(&'static str, u64)>,
    /// The number of samples that were compared with an undisturbed run, one by one.
    pub samples: u64,
    /// The parts that this machine does not allow, with the reasons.
    pub skipped: Vec<String>,
    /// The reason of a failure.
    pub failure: Option<String>,
    /// The duration of the case.
    pub took: Duration,
}

impl ChaosContext {
    pub(super) fn new(name: &'static str, size: Size, seed: u64) -> Self {
        // The name is part of the seed. A case that runs alone repeats the schedule that it has
        // among the other cases.
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..]
            .iter_mut()
            .zip(name.bytes())
            .for_each(|(place, byte)| *place = byte);
        let rng = ChaCha8Rng::from_seed(key);
        Self {
            size,
            rng,
            name,
            started: Instant::now(),
            faults: Vec::new(),
            samples: 0,
            skipped: Vec::new(),
        }
    }

    /// Returns the value for the size of this run.
    #[must_use]
    pub fn pick<T>(&self, short: T, full: T) -> T {
        match self.size {
            Size::Short => short,
            Size::Full => full,
        }
    }

    /// Draws a duration uniformly between zero and `longest`.
    pub fn moment(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.rng.random_range(0.0..1.0))
    }

    /// Announces that a fault, or an event that only the fault can cause, must happen at least
    /// `times` times. The case fails if it happens less often.
    pub fn announce(&mut self, fault: &'static str, times: u64) {
        self.entry(fault).announced = times;
    }

    /// Counts `times` more occurrences of a fault, or of an event that only the fault can cause.
    pub fn count(&mut self, fault: &'static str, times: u64) {
        self.entry(fault).happened += times;
    }

    /// Returns the number of times that a fault has happened.
    #[must_use]
    pub fn happened(&self, fault: &str) -> u64 {
        self.faults
            .iter()
            .find(|(name, _)| *name == fault)
            .map_or(0, |(_, count)| count.happened)
    }

    /// Returns true if an announced fault must happen more often. It returns false once the time of
    /// the case is over, so that the case ends and fails for the missing faults.
    #[must_use]
    pub fn lacks(&self, fault: &str) -> bool {
        self.started.elapsed() < self.pick(Duration::from_secs(300), Duration::from_secs(3600))
            && self
                .faults
                .iter()
                .any(|(name, count)| *name == fault && count.happened < count.announced)
    }

    /// Returns true if any announced fault must happen more often.
    #[must_use]
    pub fn lacks_any(&self) -> bool {
        self.faults
            .iter()
            .any(|(_, count)| count.happened < count.announced)
    }

    /// Counts samples whose records were compared with those of an undisturbed run.
    pub fn compared(&mut self, samples: u64) {
        self.samples += samples;
    }

    /// Records and prints that a part of the case is skipped because this machine does not allow
    /// it.
    pub fn skip(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        eprintln!("skipped: {}: {reason}", self.name);
        self.skipped.push(reason);
    }

    pub(super) fn report(self, panic: Option<String>) -> CaseReport {
        let missing = self
            .faults
            .iter()
            .find(|(_, count)| count.happened < count.announced);
        let too_few = missing.map(|(fault, count)| {
            format!(
                "{:?} happened {} times, but {} were announced",
                fault, count.happened, count.announced
            )
        });
        let happened = self
            .faults
            .iter()
            .map(|(_, count)| count.happened)
            .sum::<u64>();
        let none =
            (happened == 0 && self.skipped.is_empty()).then(|| "no fault happened".to_owned());
        CaseReport {
            name: self.name,
            faults: self
                .faults
                .iter()
                .map(|&(fault, count)| (fault, count.happened))
                .collect(),
            samples: self.samples,
            skipped: self.skipped,
            failure: panic.or(too_few).or(none),
            took: self.started.elapsed(),
        }
    }

    fn entry(&mut self, fault: &'static str) -> &mut Count {
        let place = self
            .faults
            .iter()
            .position(|(name, _)| *name == fault)
            .unwrap_or_else(|| {
                self.faults.push((fault, Count::default()));
                self.faults.len() - 1
            });
        &mut self.faults[place].1
    }
}

impl CaseReport {
    /// Returns true if this machine allowed no part of the case.
    #[must_use]
    pub fn is_skipped(&self) -> bool {
        self.failure.is_none()
            && !self.skipped.is_empty()
            && self.faults.iter().all(|&(_, times)| times == 0)
    }
}

impl std::fmt::Display for CaseReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = match self.failure {
            Some(_) => "FAILED",
            None if self.is_skipped() => "skipped",
            None => "passed",
        };
        writeln!(
            f,
            "{word}  {}  ({:.0} s)",
            self.name,
            self.took.as_secs_f64()
        )?;
        for (fault, times) in &self.faults {
            writeln!(f, "  {times:>7}  {fault}")?;
        }
        for reason in &self.skipped {
            writeln!(f, "  skipped: {reason}")?;
        }
        match &self.failure {
            Some(failure) => writeln!(f, "  {failure}"),
            None if self.is_skipped() => Ok(()),
            None => writeln!(
                f,
                "  {:>7}  samples compared with an undisturbed run, none lost",
                self.samples
            ),
        }
    }
}
