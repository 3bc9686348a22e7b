//! Aligned columns for a terminal.

use comfy_table::{CellAlignment, LineStyle, Table as Aligned, presets};

use super::caption::{notes, reading};
use super::escape::plain;
use super::grid::Grid;
use crate::aggregate::Table;

pub(super) fn text(table: &Table) -> String {
    let aligned = aligned(Grid::of(table));
    let mut out = format!("{}\n{aligned}\n", plain(&table.title));
    for note in std::iter::once(reading(table)).chain(notes(table)) {
        out += &plain(&note);
        out.push('\n');
    }
    out
}

fn aligned(grid: Grid) -> Aligned {
    let mut aligned = Aligned::new();
    let style = presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none());
    aligned.load_style(style).set_header(grid.headings);
    for row in grid.rows {
        aligned.add_row(row.iter().map(|cell| plain(cell)));
    }
    for column in aligned.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    aligned
}
