//! Aligned columns for a terminal.

use comfy_table::{CellAlignment, LineStyle, Table as Aligned, presets};

use super::caption::{READING, notes};
use super::escape::plain;
use super::grid::Grid;
use crate::aggregate::Table;

pub(super) fn text(table: &Table) -> String {
    let grid = Grid::of(table);
    let mut aligned = Aligned::new();
    aligned
        .load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
        .set_header(grid.headings);
    for row in grid.rows {
        aligned.add_row(row.iter().map(|cell| plain(cell)));
    }
    for column in aligned.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut out = format!("{}\n{aligned}\n", plain(&table.title));
    for note in std::iter::once(READING.to_owned()).chain(notes(table)) {
        out.push_str(&plain(&note));
        out.push('\n');
    }
    out
}
