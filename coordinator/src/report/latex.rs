//! A LaTeX table for a paper; it needs `\usepackage{booktabs}`.

use super::caption::{notes, reading};
use super::escape::{joined, latex as escaped};
use super::grid::Grid;
use crate::aggregate::Table;

pub(super) fn latex(table: &Table) -> String {
    let grid = Grid::of(table);
    let rows: String = grid.rows.iter().map(|row| line(row)).collect();
    format!(
        "% needs \\usepackage{{booktabs}}\n\
         \\begin{{table}}\n  \
           \\centering\n  \
           \\begin{{tabular}}{{l{alignment}}}\n    \
             \\toprule\n\
             {head}    \
             \\midrule\n\
             {rows}    \
             \\bottomrule\n  \
           \\end{{tabular}}\n  \
           \\caption{{{caption}}}\n\
         \\end{{table}}\n",
        alignment = "r".repeat(grid.headings.len() - 1),
        head = line(&grid.headings),
        caption = caption(table),
    )
}

fn line(cells: &[String]) -> String {
    format!("    {} \\\\\n", joined(cells, " & ", escaped))
}

fn caption(table: &Table) -> String {
    let mut sentences = vec![format!("{}.", table.title), reading(table)];
    sentences.extend(notes(table).iter().map(|note| format!("{note}.")));
    joined(&sentences, " ", escaped)
}
