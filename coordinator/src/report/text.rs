//! Aligned columns for a terminal.

use comfy_table::{CellAlignment, LineStyle, Table as Aligned, presets};

use super::caption::{notes, reading};
use super::escape::plain;
use super::grid::Grid;
use crate::aggregate::Table;

pub(super) fn text(table: &Table) -> String {
    let aligned = aligned(Grid::of(table));
    let notes = std::iter::once(reading(table)).chain(notes(table));
    let notes: String = notes.map(|note| plain(&note) + "\n").collect();
    format!("{}\n{aligned}\n{notes}", plain(&table.title))
}

fn aligned(grid: Grid) -> Aligned {
    let mut aligned = Aligned::new();
    let style = presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none());
    aligned.load_style(style).set_header(grid.headings);
    for row in grid.rows {
        aligned.add_row(row.iter().map(|cell| plain(cell)));
    }
    align_numbers(&mut aligned);
    aligned
}

/// Aligns all columns but the first to the right.
fn align_numbers(aligned: &mut Aligned) {
    for column in aligned.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
