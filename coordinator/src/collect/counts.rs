//! Counts of the records of a run.

use ddrs_common::domain::{Outcome, Record};

/// Counts of records by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RecordCounts {
    /// All records, failed ones too.
    pub(crate) records: u64,
    /// Samples that could not be certified at all.
    pub(crate) failed: u64,
    /// Samples without a majority class.
    pub(crate) abstained: u64,
    /// Certified samples whose class is their label.
    pub(crate) correct: u64,
}

impl RecordCounts {
    pub(super) fn add(&mut self, record: &Record) {
        self.records += 1;
        match &record.result {
            Err(_) => self.failed += 1,
            Ok(certification) => self.add_outcome(record, certification.outcome),
        }
    }

    fn add_outcome(&mut self, record: &Record, outcome: Outcome) {
        match outcome {
            Outcome::Abstained => self.abstained += 1,
            Outcome::Certified { class, .. } => self.correct += u64::from(class == record.label),
        }
    }
}
