//! Finds lines, table cells and list items that are too long.

use crate::offence::Offence;
use crate::tree::SourceFile;

/// Columns of a line of code.
const COLUMNS: usize = 100;
/// Words of a table cell.
const CELL_WORDS: usize = 40;
/// Words of a list item.
const ITEM_WORDS: usize = 80;

/// Finds lines of Rust and Lua that are too wide.
pub(crate) fn wide_lines(files: &[SourceFile]) -> Vec<Offence> {
    let code = files.iter().filter(|file| file.is_code());
    code.flat_map(wide_lines_of).collect()
}

fn wide_lines_of(file: &SourceFile) -> impl Iterator<Item = Offence> + '_ {
    let lines = (1..).zip(file.text.lines());
    let wide = lines.filter(|(_, line)| line.chars().count() > COLUMNS);
    wide.map(|(number, line)| Offence::new(&file.path, number, &beginning(line)))
}

/// Finds table cells and list items of documents that are too long.
pub(crate) fn walls(files: &[SourceFile]) -> Vec<Offence> {
    let documents = files.iter().filter(|file| file.is_document());
    documents.flat_map(walls_of).collect()
}

fn walls_of(file: &SourceFile) -> Vec<Offence> {
    let mut found = long(file, &cells(file), CELL_WORDS);
    found.extend(long(file, &items(file), ITEM_WORDS));
    found
}

/// Returns the texts of more than `limit` words. Lines count from 1.
fn long(file: &SourceFile, texts: &[(usize, String)], limit: usize) -> Vec<Offence> {
    let counted = texts
        .iter()
        .map(|(line, text)| (line, word_count(text), text));
    let long = counted.filter(|(_, words, _)| *words > limit);
    long.map(|(line, words, text)| {
        let words = format!("{words} words: {}", beginning(text));
        Offence::new(&file.path, *line, &words)
    })
    .collect()
}

fn cells(file: &SourceFile) -> Vec<(usize, String)> {
    let lines = (1..).zip(file.text.lines());
    let rows = lines.filter(|(_, line)| line.trim().starts_with('|'));
    rows.flat_map(|(number, line)| line.split('|').map(move |cell| (number, cell.to_owned())))
        .collect()
}

fn items(file: &SourceFile) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in (1..).zip(file.text.lines()) {
        let text = line.trim_start();
        let begins = text.starts_with("- ") || text.starts_with("* ");
        open = begins || (open && line.starts_with(' ') && !text.is_empty());
        if begins {
            found.push((number, text.to_owned()));
        } else if open {
            continue_last(&mut found, text);
        }
    }
    found
}

fn continue_last(items: &mut [(usize, String)], text: &str) {
    if let Some((_, item)) = items.last_mut() {
        item.push(' ');
        item.push_str(text);
    }
}

fn beginning(text: &str) -> String {
    text.trim().chars().take(50).collect()
}

/// Counts the words of a text.
pub(crate) fn word_count(text: &str) -> usize {
    text.split_whitespace().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_101_columns_is_wide() {
        let text = format!("// {}\n// {}\n", "é".repeat(97), "é".repeat(98));
        let found = wide_lines(&[SourceFile::fixture("a.rs", &text)]);
        assert_eq!(
            found.iter().map(|place| place.line).collect::<Vec<_>>(),
            [2]
        );
    }

    #[test]
    fn a_cell_of_41_words_is_a_wall() {
        let text = format!("| {} |\n| {} |\n", "w ".repeat(40), "w ".repeat(41));
        let found = walls(&[SourceFile::fixture("a.md", &text)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].words.starts_with("41 words: w w"));
    }

    #[test]
    fn an_item_goes_to_its_last_indented_line() {
        let half = "w ".repeat(40);
        let text = format!("- {half}\n  {half}\n\n- {half}\n\n  {half}\n");
        let found = walls(&[SourceFile::fixture("a.md", &text)]);
        assert_eq!(
            found.iter().map(|place| place.line).collect::<Vec<_>>(),
            [1]
        );
    }
}
