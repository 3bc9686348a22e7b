//! Reads the values in a stream of lines.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, BufRead, Read};
use std::path::Path;

use super::{FileLine, RecordFileError};

/// The longest line: longer than any record. The longest part of a record is the reason of a
/// failure.
const MAX_LINE: u64 = 1 << 20;

/// The contents of a file.
#[derive(Debug)]
pub(super) struct Scan<T> {
    /// The first line of each key, in the order of the file.
    pub(super) lines: Vec<T>,
    /// The number of each of them in the file, counted from 1.
    pub(super) numbers: Vec<usize>,
    /// The number of the file's bytes that are whole lines.
    pub(super) whole: u64,
    /// The end of its last line.
    pub(super) end: LineEnd,
}

/// The end of the last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// The line is whole and ends with a line feed.
    LineFeed,
    /// The line is whole, without a line feed.
    NoLineFeed,
    /// The line is the beginning of one, of this number of bytes.
    Torn(u64),
}

impl LineEnd {
    /// The end of a line that is whole.
    fn of_whole(is_finished: bool) -> Self {
        if is_finished {
            Self::LineFeed
        } else {
            Self::NoLineFeed
        }
    }
}

/// Reads all lines. `path` is only for errors and is not opened.
pub(super) fn scan<T: FileLine>(
    mut lines: impl BufRead,
    path: &Path,
) -> Result<Scan<T>, RecordFileError> {
    let mut scanner = Scanner {
        path,
        scan: Scan {
            lines: Vec::new(),
            numbers: Vec::new(),
            whole: 0,
            end: LineEnd::LineFeed,
        },
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
struct Scanner<'p, T: FileLine> {
    path: &'p Path,
    scan: Scan<T>,
    /// The position in `scan.lines` of the first line of each key.
    seen: HashMap<T::Key, usize>,
}

impl<T: FileLine> Scanner<'_, T> {
    fn add(&mut self, line: usize, bytes: &[u8]) -> Result<(), RecordFileError> {
        let length = bytes.len() as u64;
        let is_finished = bytes.last() == Some(&b'\n');
        if !is_finished && length == MAX_LINE {
            return Err(self.too_long(line));
        }
        match parse(bytes) {
            Ok(value) => {
                self.keep_first(value, line)?;
                self.scan.whole += length;
                self.scan.end = LineEnd::of_whole(is_finished);
            }
            Err(reason) if is_finished => return Err(self.refuse(line, reason)),
            Err(_) => self.scan.end = LineEnd::Torn(length),
        }
        Ok(())
    }

    fn too_long(&self, line: usize) -> RecordFileError {
        let reason = format!("not {}: longer than {MAX_LINE} bytes", T::NAME);
        self.refuse(line, reason)
    }

    fn refuse(&self, line: usize, reason: String) -> RecordFileError {
        RecordFileError::Line {
            path: self.path.to_owned(),
            line,
            reason,
        }
    }

    /// Keeps the first line of a key. A crash between writing the file and trimming the queue
    /// leaves a second record with the same result; a different result means that two sweeps were
    /// mixed.
    fn keep_first(&mut self, value: T, line: usize) -> Result<(), RecordFileError> {
        let lines = &mut self.scan.lines;
        let earlier = match self.seen.entry(value.key()) {
            Entry::Vacant(place) => {
                place.insert(lines.len());
                lines.push(value);
                self.scan.numbers.push(line);
                return Ok(());
            }
            Entry::Occupied(place) => *place.get(),
        };
        if lines[earlier].agrees_with(&value) {
            return Ok(());
        }
        Err(self.contradiction(&value, self.scan.numbers[earlier], line))
    }

    fn contradiction(&self, value: &T, first: usize, second: usize) -> RecordFileError {
        let (variant, index) = value.sample();
        RecordFileError::Contradiction {
            path: self.path.to_owned(),
            variant: variant.clone(),
            index,
            first,
            second,
        }
    }
}

fn parse<T: FileLine>(bytes: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("not {}: {e}", T::NAME))?;
    T::from_line(text)
}
