//! The records in a stream of lines.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{BufRead, Read};
use std::path::Path;

use super::{RecordFileError, from_line};
use crate::domain::{Record, SampleIndex, VariantName};

/// Longer than any record. Its longest part is the reason of a failure.
const MAX_LINE: u64 = 1 << 20;

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The first record of each sample, in the order of the file.
    pub(super) records: Vec<Record>,
    /// How many bytes of the file are records.
    pub(super) whole: u64,
    /// The state of its end.
    pub(super) end: End,
}

/// How the last line ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// With a line feed, as it should.
    #[default]
    Clean,
    /// It is a whole record, but the line feed is missing.
    NoLineFeed,
    /// It is the beginning of a line that was never finished, of so many bytes.
    Torn(u64),
}

/// Reads all lines. `path` is for errors and is not opened.
pub(super) fn scan(mut lines: impl BufRead, path: &Path) -> Result<Scan, RecordFileError> {
    let mut scan = Scan::default();
    let mut seen = HashMap::new();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let length = lines
            .by_ref()
            .take(MAX_LINE)
            .read_until(b'\n', &mut bytes)
            .map_err(|cause| RecordFileError::Io {
                path: path.to_owned(),
                action: "read",
                cause,
            })?;
        if length == 0 {
            break;
        }
        let finished = bytes.last() == Some(&b'\n');
        if !finished && length as u64 == MAX_LINE {
            let reason = format!("no record: longer than {MAX_LINE} bytes");
            return Err(RecordFileError::Line {
                path: path.to_owned(),
                line,
                reason,
            });
        }
        match (parse(&bytes), finished) {
            (Ok(record), _) => {
                keep_first(&mut scan.records, &mut seen, record, line, path)?;
                scan.whole += length as u64;
                scan.end = if finished {
                    End::Clean
                } else {
                    End::NoLineFeed
                };
            }
            (Err(_), false) => scan.end = End::Torn(length as u64),
            (Err(reason), true) => {
                return Err(RecordFileError::Line {
                    path: path.to_owned(),
                    line,
                    reason,
                });
            }
        }
    }
    Ok(scan)
}

fn parse(bytes: &[u8]) -> Result<Record, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("no record: {e}"))?;
    from_line(text).map_err(|e| e.to_string())
}

/// Keeps a sample's first record. A second one that says the same is what a crash between writing
/// the file and trimming the queue leaves behind; one that says something else means that two
/// sweeps were mixed.
fn keep_first(
    records: &mut Vec<Record>,
    seen: &mut HashMap<(VariantName, SampleIndex), (usize, usize)>,
    record: Record,
    line: usize,
    path: &Path,
) -> Result<(), RecordFileError> {
    match seen.entry((record.variant.clone(), record.index)) {
        Entry::Vacant(place) => {
            place.insert((line, records.len()));
            records.push(record);
            Ok(())
        }
        Entry::Occupied(place) => {
            let &(first, position) = place.get();
            if same_result(&records[position], &record) {
                return Ok(());
            }
            let (variant, index) = place.remove_entry().0;
            Err(RecordFileError::Contradiction {
                path: path.to_owned(),
                variant,
                index,
                first,
                second: line,
            })
        }
    }
}

/// Whether two records differ in nothing but when, where and by whom they were made.
fn same_result(a: &Record, b: &Record) -> bool {
    a.label == b.label && a.seed == b.seed && a.result == b.result
}
