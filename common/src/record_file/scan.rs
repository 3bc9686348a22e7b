//! Reads the records in a stream of lines.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, BufRead, Read};
use std::path::Path;

use super::{RecordFileError, from_line};
use crate::domain::{Record, SampleIndex, VariantName};

/// The longest line: longer than any record. The longest part of a record is the reason of a
/// failure.
const MAX_LINE: u64 = 1 << 20;

/// The contents of a file.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The first record of each sample, in the order of the file.
    pub(super) records: Vec<Record>,
    /// The number of the file's bytes that are records.
    pub(super) whole: u64,
    /// The end of its last line.
    pub(super) end: LineEnd,
}

/// The end of the last line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// The line is whole and ends with a line feed.
    #[default]
    LineFeed,
    /// The line is a whole record without a line feed.
    NoLineFeed,
    /// The line is the beginning of a record, of this number of bytes.
    Torn(u64),
}

impl LineEnd {
    /// The end of a line that is a whole record.
    fn of_record(is_finished: bool) -> Self {
        if is_finished {
            Self::LineFeed
        } else {
            Self::NoLineFeed
        }
    }
}

/// Reads all lines. `path` is only for errors and is not opened.
pub(super) fn scan(mut lines: impl BufRead, path: &Path) -> Result<Scan, RecordFileError> {
    let mut scanner = Scanner {
        path,
        scan: Scan::default(),
        seen: HashMap::new(),
    };
    for line in 1.. {
        let bytes = read_line(&mut lines).map_err(|cause| read_error(path, cause))?;
        if bytes.is_empty() {
            break;
        }
        scanner.add(line, &bytes)?;
    }
    Ok(scanner.scan)
}

fn read_error(path: &Path, cause: io::Error) -> RecordFileError {
    RecordFileError::Io {
        path: path.to_owned(),
        action: "read",
        cause,
    }
}

fn read_line(lines: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    lines.take(MAX_LINE).read_until(b'\n', &mut bytes)?;
    Ok(bytes)
}

/// The lines read so far.
struct Scanner<'p> {
    path: &'p Path,
    scan: Scan,
    /// The line and the position in `scan.records` of each sample's first record.
    seen: HashMap<(VariantName, SampleIndex), (usize, usize)>,
}

impl Scanner<'_> {
    fn add(&mut self, line: usize, bytes: &[u8]) -> Result<(), RecordFileError> {
        let length = bytes.len() as u64;
        let is_finished = bytes.last() == Some(&b'\n');
        if !is_finished && length == MAX_LINE {
            return Err(self.too_long(line));
        }
        match parse(bytes) {
            Ok(record) => {
                self.keep_first(record, line)?;
                self.scan.whole += length;
                self.scan.end = LineEnd::of_record(is_finished);
            }
            Err(reason) if is_finished => return Err(self.refuse(line, reason)),
            Err(_) => self.scan.end = LineEnd::Torn(length),
        }
        Ok(())
    }

    fn too_long(&self, line: usize) -> RecordFileError {
        self.refuse(line, format!("not a record: longer than {MAX_LINE} bytes"))
    }

    fn refuse(&self, line: usize, reason: String) -> RecordFileError {
        RecordFileError::Line {
            path: self.path.to_owned(),
            line,
            reason,
        }
    }

    /// Keeps a sample's first record. A crash between writing the file and trimming the queue
    /// leaves a second record with the same result; a different result means that two sweeps were
    /// mixed.
    fn keep_first(&mut self, record: Record, line: usize) -> Result<(), RecordFileError> {
        let records = &mut self.scan.records;
        let (first, earlier) = match self.seen.entry((record.variant.clone(), record.index)) {
            Entry::Vacant(place) => {
                place.insert((line, records.len()));
                records.push(record);
                return Ok(());
            }
            Entry::Occupied(place) => *place.get(),
        };
        if same_result(&records[earlier], &record) {
            return Ok(());
        }
        Err(self.contradiction(record, first, line))
    }

    fn contradiction(&self, record: Record, first: usize, second: usize) -> RecordFileError {
        RecordFileError::Contradiction {
            path: self.path.to_owned(),
            variant: record.variant,
            index: record.index,
            first,
            second,
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Record, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("not a record: {e}"))?;
    from_line(text).map_err(|e| e.to_string())
}

/// Returns true if two records differ only in their time, worker, attempt and device.
fn same_result(a: &Record, b: &Record) -> bool {
    a.label == b.label && a.seed == b.seed && a.result == b.result
}
