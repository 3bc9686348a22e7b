//! The notes under the legend.

use std::fmt::Write;

use super::{LEFT, NOTE_LINE};
use crate::report::escape::markup;

/// The number of characters of a note that fit on a line.
const LINE_CHARACTERS: usize = 120;

/// Draws lines of notes below each other.
pub(super) fn draw_notes(out: &mut String, lines: &[String], top: f64) {
    for (place, line) in lines.iter().enumerate() {
        let y = top + NOTE_LINE * place as f64;
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<text class=\"ddrs-ink\" x=\"{LEFT}\" y=\"{y}\" font-size=\"10\">{}</text>",
            markup(line)
        );
    }
}

/// Breaks a note into lines of at most [`LINE_CHARACTERS`], at spaces, and inside words that are
/// longer than a line.
pub(super) fn wrapped(note: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in note.split(' ') {
        append_word(&mut lines, word);
    }
    lines
}

/// Appends a word, with a line for each further piece of a word that is longer than a line.
fn append_word(lines: &mut Vec<String>, word: &str) {
    let mut pieces = pieces(word).into_iter();
    if let Some(first) = pieces.next() {
        append_piece(lines, first);
    }
    lines.extend(pieces);
}

/// Cuts a word into pieces that fit on a line.
fn pieces(word: &str) -> Vec<String> {
    let characters: Vec<char> = word.chars().collect();
    let pieces = characters.chunks(LINE_CHARACTERS);
    pieces.map(|piece| piece.iter().collect()).collect()
}

/// Appends a piece to the last line, or starts a new line where it does not fit.
fn append_piece(lines: &mut Vec<String>, piece: String) {
    match lines.last_mut() {
        Some(line) if line.is_empty() => *line = piece,
        Some(line) if fits(line, &piece) => *line += &format!(" {piece}"),
        _ => lines.push(piece),
    }
}

/// Returns true if a piece and the space before it fit on a line.
fn fits(line: &str, piece: &str) -> bool {
    characters(line) + 1 + characters(piece) <= LINE_CHARACTERS
}

fn characters(text: &str) -> usize {
    text.chars().count()
}
