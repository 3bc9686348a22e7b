//! Certification logs (`.tsv`) in the format that `locuslab/smoothing` introduced: one line per
//! sample under the header `idx label predict radius correct sigma time`, separated by tabs.
//!
//! The reader finds columns by their names in the header, so they may be in any order and unknown
//! ones are ignored. `idx`, `label`, `predict` and `radius` are required. `sigma` (or
//! `best_sigma`), `correct` and `time` are optional. Windows line ends and empty lines at the end
//! are accepted. Any other incomplete line is an error that names its number, because a log that
//! silently lost samples would give another table.
//!
//! A failed sample is written as an abstention whose sigma is `nan`. Leaving it out would shrink
//! the denominator of any script that reads the log, and raise the accuracy. This way every script
//! counts the sample as not certified, and this reader can still distinguish it from a real
//! abstention.

mod fields;
mod parse;
mod write;

use std::path::Path;

use ddrs_common::bounded;
use ddrs_common::domain::{Choice, Record, Sigma};

use crate::aggregate::{Entry, RowSettings};

pub use parse::parse;
pub use write::write;

/// One sample of a log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogLine {
    /// The sample as a table counts it.
    pub entry: Entry,
    /// Wall time in seconds, where the log has it.
    pub seconds: Option<f64>,
}

/// A log that cannot be used. The message names the file and, where it applies, the line.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be read.
    #[error("{file}: {cause}")]
    Io {
        /// The path of the log.
        file: String,
        /// The error of the file system.
        cause: std::io::Error,
    },
    /// A line is invalid.
    #[error("{file}, line {line}: {reason}")]
    Line {
        /// The path of the log.
        file: String,
        /// The line's number, from 1.
        line: usize,
        /// The reason.
        reason: String,
    },
}

/// The largest log that is read: about ten million samples.
const MAX_BYTES: u64 = 1 << 30;

/// Reads a log.
///
/// # Errors
/// When the file cannot be read as text, or [`parse`] rejects it.
pub fn read(path: &Path) -> Result<Vec<LogLine>, LogError> {
    let text = bounded::read_text(path, MAX_BYTES).map_err(|cause| unreadable(path, cause))?;
    parse(&text, path)
}

fn unreadable(path: &Path, cause: std::io::Error) -> LogError {
    LogError::Io {
        file: path.display().to_string(),
        cause,
    }
}

/// Returns the samples of a log as a table counts them.
#[must_use]
pub fn entries(lines: &[LogLine]) -> Vec<Entry> {
    lines.iter().map(|line| line.entry).collect()
}

/// Returns the settings that a log states: a sigma that all samples share, and how it was chosen.
#[must_use]
pub fn settings(lines: &[LogLine]) -> RowSettings {
    RowSettings {
        sigma0: shared_sigma(lines),
        choice: choice(lines),
        ..RowSettings::default()
    }
}

fn shared_sigma(lines: &[LogLine]) -> Option<Sigma> {
    let mut sigmas = lines.iter().map(|line| line.entry.sigma);
    let first = sigmas.next()??;
    sigmas.all(|sigma| sigma == Some(first)).then_some(first)
}

/// Returns the choice of sigma: sigmas that differ between samples were chosen per sample. Failed
/// samples have no sigma.
fn choice(lines: &[LogLine]) -> Option<Choice> {
    let mut sigmas = lines.iter().filter_map(|line| line.entry.sigma);
    let first = sigmas.next()?;
    Some(if sigmas.all(|sigma| sigma == first) {
        Choice::Fixed
    } else {
        Choice::DataDependent
    })
}

impl LogLine {
    /// Makes the line of a record. `entry` has the record's outcome, or the one that memory gave
    /// it.
    #[must_use]
    pub fn new(record: &Record, entry: Entry) -> Self {
        Self {
            entry,
            seconds: Some(record.seconds),
        }
    }
}

#[cfg(test)]
mod tests;
