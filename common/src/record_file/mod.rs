//! `records.jsonl`: one record per line, in a file that survives a crash of its writer.
//!
//! The file is generic over its lines: [`crate::attack`] keeps the results of attacks in the same
//! way.
//!
//! - `file_line`: the requirements on the lines of a file
//! - `line`: converts a record to a line of JSON and back
//! - `scan`: reads the lines of a file, handling a torn last line and duplicates
//! - `file`: opens, repairs and appends durably

mod file;
mod file_line;
mod line;
mod scan;

use std::path::{Path, PathBuf};

use crate::domain::{Record, SampleIndex, VariantName};

pub use file::{LineFile, OpenedFile, Repair, read_lines, read_numbered};
pub use file_line::FileLine;
pub use line::{RecordLine, from_line, to_line};

/// A file of records that one program alone appends to, until it is dropped.
pub type RecordFile = LineFile<Record>;

/// Reads a file's records without writing to it, as [`read_lines`] does.
///
/// # Errors
/// As [`read_lines`].
pub fn read(path: &Path) -> Result<Vec<Record>, RecordFileError> {
    read_lines(path)
}

/// The reason why a file of records cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordFileError {
    /// It cannot be read or written.
    #[error("{path}: cannot {action}: {cause}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The action that failed.
        action: &'static str,
        /// The system's error.
        cause: std::io::Error,
    },
    /// Another program has it open for writing.
    #[error("{path}: {writer} into this file", path = .path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// The other program and its action, e.g. `another ddrs-coordinator is collecting`.
        writer: &'static str,
    },
    /// A line is not a record, and it is not a torn last line.
    #[error("{path}, line {line}: {reason}", path = .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The problem.
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
