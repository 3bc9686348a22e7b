//! A Markdown table as GitHub renders it.

use super::caption::all_notes;
use super::escape::{joined, markdown as escaped};
use super::grid::{Grid, GridGroup};
use crate::aggregate::Table;

pub(super) fn markdown(table: &Table) -> String {
    let title = escaped(&table.title);
    let lines = table_lines(&Grid::of(table));
    let notes = note_items(table);
    format!("**{title}**\n\n{lines}\n{notes}")
}

fn table_lines(grid: &Grid) -> String {
    let headings = line(&grid.headings);
    let alignment = alignment(grid.headings.len());
    let groups = grid.groups.iter();
    let rows: String = groups
        .map(|group| group_lines(group, grid.headings.len()))
        .collect();
    headings + &alignment + &rows
}

/// A line with the heading alone, then the rows.
fn group_lines(group: &GridGroup, columns: usize) -> String {
    let heading = escaped(&group.heading);
    let rows: String = group.rows.iter().map(|row| line(row)).collect();
    format!("| **{heading}** |{}\n{rows}", " |".repeat(columns - 1))
}

fn note_items(table: &Table) -> String {
    all_notes(table)
        .map(|note| "- ".to_owned() + &escaped(&note) + "\n")
        .collect()
}

fn line(cells: &[String]) -> String {
    format!("| {} |\n", joined(cells, " | ", escaped))
}

/// The line under the headings: the first column is text, the others are numbers.
fn alignment(columns: usize) -> String {
    format!("| :--- |{}\n", " ---: |".repeat(columns - 1))
}
