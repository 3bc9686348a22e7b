//! What a case has at hand: how large it shall be, its schedule's dice, and a tally of the faults
//! that really happened.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How much of a case is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Seconds: a version for every test run.
    Short,
    /// Minutes.
    Full,
}

/// The bench of one case.
pub struct ChaosContext {
    /// How much is to be done.
    pub size: Size,
    /// Decides every choice of the schedule.
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

/// How a case went.
#[derive(Debug, Clone)]
pub struct CaseReport {
    /// The case.
    pub name: &'static str,
    /// Each kind of fault and how often it happened, and events that only a fault can bring about.
    pub faults: Vec<(&'static str, u64)>,
    /// How many samples were compared with an undisturbed run, one by one.
    pub samples: u64,
    /// What could not be done here, and why.
    pub skipped: Vec<String>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl ChaosContext {
    pub(super) fn new(name: &'static str, size: Size, seed: u64) -> Self {
        // Each case has dice of its own, so that it replays alone as it does among the others.
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

    /// One of two numbers: for the short version, and for the full one.
    #[must_use]
    pub fn pick<T>(&self, short: T, full: T) -> T {
        match self.size {
            Size::Short => short,
            Size::Full => full,
        }
    }

    /// A moment within the first `longest` of something.
    pub fn moment(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.rng.random_range(0.0..1.0))
    }

    /// Says that the case will have been worthless with fewer than `times` of a fault, or of what
    /// only it brings about.
    pub fn announce(&mut self, fault: &'static str, times: u64) {
        self.entry(fault).announced = times;
    }

    /// Counts a fault, or what only it brings about, that happened `times` times.
    pub fn count(&mut self, fault: &'static str, times: u64) {
        self.entry(fault).happened += times;
    }

    /// How often a fault has happened so far.
    #[must_use]
    pub fn happened(&self, fault: &str) -> u64 {
        self.faults
            .iter()
            .find(|(name, _)| *name == fault)
            .map_or(0, |(_, count)| count.happened)
    }

    /// Whether an announced fault has yet to happen more often. Not for ever: a case whose time is
    /// up ends, and fails for what it lacks.
    #[must_use]
    pub fn lacks(&self, fault: &str) -> bool {
        self.started.elapsed() < self.pick(Duration::from_secs(300), Duration::from_secs(3600))
            && self
                .faults
                .iter()
                .any(|(name, count)| *name == fault && count.happened < count.announced)
    }

    /// Whether any announced fault has.
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

    /// Leaves out a part that this machine does not allow, and says so.
    pub fn skip(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        eprintln!("skipped: {}: {reason}", self.name);
        self.skipped.push(reason);
    }

    pub(super) fn report(self, panic: Option<String>) -> CaseReport {
        let short = self
            .faults
            .iter()
            .find(|(_, count)| count.happened < count.announced);
        let few = short.map(|(fault, count)| {
            format!(
                "{} happened {} times, {} were announced",
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
            failure: panic.or(few).or(none),
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
    /// Whether nothing of the case could be done here.
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
                "  {:>7}  samples compared with an undisturbed run: nothing lost",
                self.samples
            ),
        }
    }
}
