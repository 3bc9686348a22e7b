//! One sample as a table counts it, read from a record or from a certification log.

use ddrs_common::domain::{Class, Outcome, Radius, Record, SampleIndex, Sigma};

/// A sample's true class and the outcome of certifying it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// The sample's index in the dataset.
    pub index: SampleIndex,
    /// The true class.
    pub label: Class,
    /// The outcome.
    pub result: EntryOutcome,
    /// The sigma of the noise; `None` for a failed sample and in a log without sigmas.
    pub sigma: Option<Sigma>,
}

/// The outcome of certifying one sample, which may also have failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EntryOutcome {
    /// The smoothed classifier predicts `class` everywhere within `radius`.
    Certified {
        /// The predicted class.
        class: Class,
        /// The certified radius.
        radius: Radius,
    },
    /// No class was shown to have a majority.
    Abstained,
    /// The sample could not be certified, for example because its image is corrupt or its scores
    /// are NaN.
    Failed,
}

impl Entry {
    /// Returns the radius that is certified for the true class: only this counts in a table.
    #[must_use]
    pub fn correct_radius(&self) -> Option<f64> {
        match self.result {
            EntryOutcome::Certified { class, radius } if class == self.label => Some(radius.get()),
            _ => None,
        }
    }

    /// Returns true if the sample is certified for another class than the true one.
    #[must_use]
    pub fn is_certified_wrong(&self) -> bool {
        matches!(self.result, EntryOutcome::Certified { class, .. } if class != self.label)
    }
}

impl From<Outcome> for EntryOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Certified { class, radius } => Self::Certified { class, radius },
            Outcome::Abstained => Self::Abstained,
        }
    }
}

impl From<&Record> for Entry {
    fn from(record: &Record) -> Self {
        let certification = record.result.as_ref().ok();
        Self {
            index: record.index,
            label: record.label,
            result: certification.map_or(EntryOutcome::Failed, |c| c.outcome.into()),
            sigma: certification.map(|c| c.sigma),
        }
    }
}
