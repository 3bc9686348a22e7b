//! One sample as a table counts it, wherever it came from.

use ddrs_common::domain::{Class, Outcome, Radius, Record, SampleIndex};

/// A sample's true class and what became of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// Which input.
    pub index: SampleIndex,
    /// Its true class.
    pub label: Class,
    /// What was shown.
    pub verdict: Verdict,
}

/// What was shown of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// The smoothed classifier predicts `class` everywhere within `radius`.
    Certified {
        /// The class predicted.
        class: Class,
        /// How far around the input.
        radius: Radius,
    },
    /// No class was shown to be a majority.
    Abstained,
    /// The sample could not be certified at all: a corrupt image, scores that are no numbers.
    Failed,
}

impl Entry {
    /// The radius certified for the true class, if any: the only thing that a table credits.
    #[must_use]
    pub fn correct_radius(&self) -> Option<f64> {
        match self.verdict {
            Verdict::Certified { class, radius } if class == self.label => Some(radius.get()),
            _ => None,
        }
    }
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Certified { class, radius } => Self::Certified { class, radius },
            Outcome::Abstained => Self::Abstained,
        }
    }
}

impl From<&Record> for Entry {
    fn from(record: &Record) -> Self {
        let verdict = record
            .result
            .as_ref()
            .map_or(Verdict::Failed, |c| c.outcome.into());
        Self {
            index: record.index,
            label: record.label,
            verdict,
        }
    }
}
