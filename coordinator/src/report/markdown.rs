//! A table as GitHub renders it.

use super::caption::{READING, notes};
use super::escape::markdown as escaped;
use super::grid::Grid;
use crate::aggregate::Table;

pub(super) fn markdown(table: &Table) -> String {
    let grid = Grid::of(table);
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut out = format!("**{}**\n\n", escaped(&table.title));
    out.push_str(&line(&grid.headings));
    out.push_str("| :--- |");
    out.push_str(&" ---: |".repeat(grid.headings.len() - 1));
    out.push('\n');
    for row in &grid.rows {
        out.push_str(&line(row));
    }
    out.push('\n');
    for note in std::iter::once(READING.to_owned()).chain(notes(table)) {
        out.extend(["- ", &escaped(&note), "\n"]);
    }
    out
}
