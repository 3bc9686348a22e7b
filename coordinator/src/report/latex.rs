//! A table for a paper: `\usepackage{booktabs}`.

use super::caption::{READING, notes};
use super::escape::latex as escaped;
use super::grid::Grid;
use crate::aggregate::Table;

pub(super) fn latex(table: &Table) -> String {
    let grid = Grid::of(table);
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
        format!("    {} \\\\\n", cells.join(" & "))
    };
    let caption: Vec<String> = [format!("{}.", table.title), READING.to_owned()]
        .into_iter()
        .chain(notes(table).into_iter().map(|note| format!("{note}.")))
        .map(|sentence| escaped(&sentence))
        .collect();
    let rows: String = grid.rows.iter().map(|row| line(row)).collect();
    format!(
        "% needs \\usepackage{{booktabs}}\n\\begin{{table}}\n  \\centering\n  \\begin{{tabular}}{{l{}}}\n    \\toprule\n{}    \\midrule\n{rows}    \\bottomrule\n  \\end{{tabular}}\n  \\caption{{{}}}\n\\end{{table}}\n",
        "r".repeat(grid.headings.len() - 1),
        line(&grid.headings),
        caption.join(" "),
    )
}
