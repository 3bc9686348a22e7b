//! Certification logs (`.tsv`) in the format that `locuslab/smoothing` began: one line a sample,
//! under the header `idx label predict radius correct sigma time`, with tabs between.
//!
//! Reading goes by the names in the header, so columns may come in any order and unknown ones pass.
//! `idx`, `label`, `predict` and `radius` must be there; sigma may be called `sigma` or
//! `best_sigma`, or be absent, and so may `correct` and `time`. Windows line ends and empty lines
//! at the end are tolerated; any other line that is not whole is an error with its number, for a
//! log that silently lost samples would make another table.
//!
//! A sample that failed is written as an abstention whose sigma is `nan`. Leaving it out would
//! shrink the denominator of whoever reads the log and raise the accuracy; this way every script
//! counts it as not certified, and reading the log back tells it from a real abstention.

mod fields;
mod parse;
mod write;

use std::collections::HashMap;
use std::path::Path;

use ddrs_common::bounded;
use ddrs_common::domain::{Record, Sigma};

use crate::aggregate::{Entry, Settings};

pub use parse::parse;
pub use write::write;

/// One sample of a log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// What a table counts.
    pub entry: Entry,
    /// The sigma of its noise, where the log knows it.
    pub sigma: Option<Sigma>,
    /// Wall time in seconds, where the log knows it.
    pub seconds: Option<f64>,
}

/// A log that cannot be used, with the file and where there is one the line.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be read.
    #[error("{file}: {cause}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        cause: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("{file}, line {line}: {reason}")]
    Line {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// The longest log: some ten million samples.
const MOST_BYTES: u64 = 1 << 30;

/// Reads a log.
///
/// # Errors
/// When the file cannot be read as text, or [`parse`] refuses it.
pub fn read(path: &Path) -> Result<Vec<Line>, LogError> {
    let text = bounded::read_text(path, MOST_BYTES).map_err(|cause| LogError::Io {
        file: path.display().to_string(),
        cause,
    })?;
    parse(&text, path)
}

/// What a log tells about its settings: the sigma, if all its samples share one.
#[must_use]
pub fn settings(lines: &[Line]) -> Settings {
    let first = lines.first().and_then(|line| line.sigma);
    let shared = first.filter(|_| lines.iter().all(|line| line.sigma == first));
    Settings {
        sigma0: shared,
        ..Settings::default()
    }
}

impl Line {
    /// A record as a log shows it, with the outcome that `entry` has (which memory may have
    /// changed).
    #[must_use]
    pub fn new(record: &Record, entry: Entry) -> Self {
        Self {
            entry,
            sigma: record.result.as_ref().ok().map(|c| c.sigma),
            seconds: Some(record.seconds),
        }
    }
}

impl From<&Record> for Line {
    fn from(record: &Record) -> Self {
        Self::new(record, record.into())
    }
}

/// The number of the line on which each index stands, for the error that names both.
type Seen = HashMap<u64, usize>;

#[cfg(test)]
mod tests;
