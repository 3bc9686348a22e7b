//! A Markdown table as GitHub renders it.

use super::caption::{notes, reading};
use super::escape::markdown as escaped;
use super::grid::Grid;
use crate::aggregate::Table;

pub(super) fn markdown(table: &Table) -> String {
    let grid = Grid::of(table);
    let mut out = format!("**{}**\n\n", escaped(&table.title));
    out += &line(&grid.headings);
    out += &alignment(grid.headings.len());
    for row in &grid.rows {
        out += &line(row);
    }
    out.push('\n');
    for note in std::iter::once(reading(table)).chain(notes(table)) {
        out += &format!("- {}\n", escaped(&note));
    }
    out
}

fn line(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The line under the headings: the first column is text, the others are numbers.
fn alignment(columns: usize) -> String {
    format!("| :--- |{}\n", " ---: |".repeat(columns - 1))
}
