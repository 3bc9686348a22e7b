//! A LaTeX table for a paper; it needs `\usepackage{booktabs}`.

use super::caption::{notes, reading};
use super::escape::{joined, latex as escaped};
use super::grid::{Grid, GridGroup};
use crate::aggregate::Table;

pub(super) fn latex(table: &Table) -> String {
    let grid = Grid::of(table);
    let groups: Vec<String> = grid
        .groups
        .iter()
        .map(|group| group_lines(group, grid.headings.len()))
        .collect();
    format!(
        "% needs \\usepackage{{booktabs}}\n\
         \\begin{{table}}\n  \
           \\centering\n  \
           \\begin{{tabular}}{{l{alignment}}}\n    \
             \\toprule\n\
             {head}    \
             \\midrule\n\
             {groups}    \
             \\bottomrule\n  \
           \\end{{tabular}}\n  \
           \\caption{{{caption}}}\n\
         \\end{{table}}\n",
        alignment = "r".repeat(grid.headings.len() - 1),
        head = line(&grid.headings),
        groups = groups.join("    \\midrule\n"),
        caption = caption(table),
    )
}

/// A line across all columns with the heading, then the rows.
fn group_lines(group: &GridGroup, columns: usize) -> String {
    let heading = escaped(&group.heading);
    let rows: String = group.rows.iter().map(|row| line(row)).collect();
    format!("    \\multicolumn{{{columns}}}{{l}}{{\\emph{{{heading}}}}} \\\\\n{rows}")
}

fn line(cells: &[String]) -> String {
    format!("    {} \\\\\n", joined(cells, " & ", escaped))
}

fn caption(table: &Table) -> String {
    let mut sentences = vec![format!("{}.", table.title), reading(table)];
    sentences.extend(notes(table).iter().map(|note| format!("{note}.")));
    joined(&sentences, " ", escaped)
}
