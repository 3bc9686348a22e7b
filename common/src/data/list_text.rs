//! Reads the text of a list: of classes, or of labels.

use std::path::Path;

use super::DataError;
use crate::roots::Roots;

/// The largest list: a million names of usual length.
const MAX_LIST: u64 = 64 << 20;

/// Reads a text in UTF-8, or in UTF-16 with a byte order mark, as Windows writes it.
pub(super) fn read_list(file: &Path, roots: &Roots) -> Result<String, DataError> {
    let bytes = roots.read(file, MAX_LIST).map_err(DataError::io(file))?;
    decoded(&bytes).ok_or_else(|| DataError::layout(file, "is neither UTF-8 nor UTF-16 text"))
}

fn decoded(bytes: &[u8]) -> Option<String> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Option<String> {
    str::from_utf8(bytes).ok().map(str::to_owned)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks();
    let units: Vec<u16> = pairs.iter().copied().map(unit).collect();
    let text = String::from_utf16(&units).ok();
    text.filter(|_| rest.is_empty())
}

/// Splits a text into its lines, without white space after the last.
///
/// # Errors
/// When a line in between is empty: it would shift all that follow.
pub(super) fn lines<'t>(text: &'t str, file: &Path) -> Result<Vec<&'t str>, DataError> {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    match lines.iter().position(|line| line.trim().is_empty()) {
        Some(place) => Err(empty_line(file, place + 1)),
        None => Ok(lines),
    }
}

fn empty_line(file: &Path, line: usize) -> DataError {
    let what = format!("line {line} is empty and would shift the labels after it");
    DataError::layout(file, what)
}
