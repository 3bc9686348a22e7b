//! Aligned columns for a terminal.

use comfy_table::{CellAlignment, LineStyle, Table as Aligned, presets};

use super::caption::all_notes;
use super::escape::plain;
use super::grid::Grid;
use crate::aggregate::Table;

pub(super) fn text(table: &Table) -> String {
    let aligned = aligned(Grid::of(table));
    let notes: String = all_notes(table).map(|note| plain(&note) + "\n").collect();
    format!("{}\n{aligned}\n{notes}", plain(&table.title))
}

fn aligned(grid: Grid) -> Aligned {
    let mut aligned = Aligned::new();
    let style = presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none());
    aligned.load_style(style).set_header(grid.headings);
    for group in grid.groups {
        aligned.add_row([plain(&group.heading)]);
        for row in group.rows {
            aligned.add_row(row.iter().map(|cell| plain(cell)));
        }
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
