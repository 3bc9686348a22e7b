//! The cells of a table for reading, the same in every such format. The formats escape and place
//! them.

use super::number::{cut, headings, percent};
use crate::aggregate::{SigmaQuantiles, Table, TableRow};

/// Headings, and the same number of cells in each row. The first column is text, the others are
/// numbers.
pub(super) struct Grid {
    pub(super) headings: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Grid {
    /// Makes the cells of a table. The column of chosen sigmas is left out where no row has them.
    pub(super) fn of(table: &Table) -> Self {
        let with_chosen = table.has_chosen_sigmas();
        let row = |row| cells(row, with_chosen);
        Self {
            headings: all_headings(table, with_chosen),
            rows: table.rows.iter().map(row).collect(),
        }
    }
}

fn all_headings(table: &Table, with_chosen: bool) -> Vec<String> {
    let chosen: &[&str] = if with_chosen { &["chosen"] } else { &[] };
    let before = [&["variant", "sigma"], chosen, &["samples"]].concat();
    let after = ["ACR", "abstained", "wrong", "failed"];
    let mut all = owned(&before);
    all.extend(headings(&table.radii.values()));
    all.extend(owned(&after));
    all
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn cells(row: &TableRow, with_chosen: bool) -> Vec<String> {
    let sigma = row.settings.sigma0.map(|sigma| sigma.to_string());
    let mut cells = vec![name(row), sigma.unwrap_or_else(|| "?".to_owned())];
    cells.extend(with_chosen.then(|| chosen(row.chosen)));
    cells.push(row.samples.to_string());
    let accuracies = row.certified.iter();
    cells.extend(accuracies.map(|&count| percent(count, row.samples)));
    cells.push(cut(row.average_certified_radius, 3));
    cells.extend([row.abstained, row.certified_wrong, row.failed].map(|count| count.to_string()));
    cells
}

/// The quantiles of the chosen sigmas, to two decimals.
fn chosen(quantiles: Option<SigmaQuantiles>) -> String {
    quantiles.map_or_else(
        || "-".to_owned(),
        |SigmaQuantiles { p10, p50, p90 }| {
            format!("{:.2} {:.2} {:.2}", p10.get(), p50.get(), p90.get())
        },
    )
}

/// The name of a row: its variant, and whether it is with memory.
pub(super) fn name(row: &TableRow) -> String {
    if row.memory {
        format!("{} + memory", row.variant)
    } else {
        row.variant.clone()
    }
}
