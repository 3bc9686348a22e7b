//! `records.jsonl`: one record a line, and a file that survives whoever writes it.
//!
//! - `line`: a record as a line of JSON and back
//! - `scan`: the lines of a file, the torn last one and duplicates among them
//! - `file`: opening, repairing, appending durably

mod file;
mod line;
mod scan;

use std::path::PathBuf;

use crate::domain::{SampleIndex, VariantName};

pub use file::{Opened, RecordFile, Repair, read};
pub use line::{RecordLine, from_line, to_line};

/// What is wrong with a file of records.
#[derive(Debug, thiserror::Error)]
pub enum RecordFileError {
    /// It cannot be read or written.
    #[error("{path}: cannot {action}: {cause}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        cause: std::io::Error,
    },
    /// Another program has it open for writing.
    #[error("{path}: another ddrs-coordinator is collecting into this file", path = .path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A line is no record, and no torn last line either.
    #[error("{path}, line {line}: {reason}", path = .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Two lines give the same sample different results.
    #[error("{path}, line {second}: index {index} of {variant:?} differs from line {first}",
            path = .path.display(), variant = .variant.as_str())]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// The variant of both.
        variant: VariantName,
        /// The sample of both.
        index: SampleIndex,
        /// The line that came first.
        first: usize,
        /// The line that differs from it.
        second: usize,
    },
}

#[cfg(test)]
mod tests;
