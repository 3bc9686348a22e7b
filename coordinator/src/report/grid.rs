//! The cells of a table for reading, the same in every such format. The formats escape and place
//! them.

use ddrs_common::domain::{Radii, Radius, Sigma, Statement};

use super::number::{cut, headings, percent};
use crate::aggregate::{SigmaQuantiles, SigmaShares, Table, TableRow};

/// Headings, and the same number of cells in each row. The first column is text, the others are
/// numbers.
pub(super) struct Grid {
    pub(super) headings: Vec<String>,
    pub(super) groups: Vec<GridGroup>,
}

/// The rows whose certificates make one kind of statement, under one heading.
pub(super) struct GridGroup {
    pub(super) heading: String,
    pub(super) rows: Vec<Vec<String>>,
}

impl Grid {
    /// Makes the cells of a table. The column of chosen sigmas is left out where no row has them.
    pub(super) fn of(table: &Table) -> Self {
        let with_chosen = table.has_chosen_sigmas();
        let groups = table.by_statement().into_iter();
        Self {
            headings: all_headings(table, with_chosen),
            groups: groups
                .map(|(statement, rows)| group(table, statement, &rows))
                .collect(),
        }
    }
}

fn group(table: &Table, statement: Option<Statement>, rows: &[&TableRow]) -> GridGroup {
    let with_chosen = table.has_chosen_sigmas();
    let cells = |row: &&TableRow| cells(row, &table.radii, with_chosen);
    GridGroup {
        heading: format!("statement: {}", statement_word(statement)),
        rows: rows.iter().map(cells).collect(),
    }
}

/// The word for a kind of statement, or for a log that does not name it.
pub(super) fn statement_word(statement: Option<Statement>) -> &'static str {
    statement.map_or("unknown", Statement::as_str)
}

fn all_headings(table: &Table, with_chosen: bool) -> Vec<String> {
    let mut all = owned(&["variant", "sigma"]);
    all.extend(with_chosen.then(|| "chosen".to_owned()));
    all.push("samples".to_owned());
    all.extend(headings(&table.radii.values()));
    all.extend(owned(&["ACR", "abstained", "wrong", "failed"]));
    all
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn cells(row: &TableRow, radii: &Radii, with_chosen: bool) -> Vec<String> {
    let mut cells = vec![name(row), sigma(row)];
    cells.extend(with_chosen.then(|| chosen(row)));
    cells.push(row.samples.to_string());
    cells.extend(accuracies(row, radii));
    cells.push(cut(row.average_certified_radius, 3));
    cells.extend(counts(row));
    cells
}

fn sigma(row: &TableRow) -> String {
    let sigma = row.settings.sigma0;
    sigma.map_or_else(|| "?".to_owned(), |sigma| sigma.to_string())
}

fn accuracies(row: &TableRow, radii: &Radii) -> impl Iterator<Item = String> {
    let counts = row.certified.iter().zip(radii.iter());
    counts.map(|(&count, radius)| accuracy(row, count, radius))
}

/// The certified accuracy at a radius, followed in brackets by the share that an attack leaves.
fn accuracy(row: &TableRow, count: u64, radius: Radius) -> String {
    let certified = percent(count, row.samples);
    match row.attack_at(radius) {
        Some(tally) => format!("{certified} ({})", tally.at_most_percent()),
        None => certified,
    }
}

fn counts(row: &TableRow) -> [String; 3] {
    [row.abstained, row.certified_wrong, row.failed].map(|count| count.to_string())
}

/// The quantiles of the chosen sigmas, or the shares of the levels.
fn chosen(row: &TableRow) -> String {
    let quantiles = row.chosen.map(quantiles_text);
    let shares = row.levels.as_ref().map(shares_text);
    quantiles.or(shares).unwrap_or_else(|| "-".to_owned())
}

/// Three quantiles, to two decimals.
fn quantiles_text(quantiles: SigmaQuantiles) -> String {
    let [p10, p50, p90] = quantiles.values().map(Sigma::get);
    format!("{p10:.2} {p50:.2} {p90:.2}")
}

/// Each sigma with the share of the samples that have it.
fn shares_text(shares: &SigmaShares) -> String {
    let samples = shares.samples();
    let shares = shares.iter();
    let shares = shares.map(|(sigma, count)| format!("{sigma}: {} %", percent(count, samples)));
    shares.collect::<Vec<_>>().join(", ")
}

/// The name of a row: its variant, followed by `+ memory` for a row with memory.
pub(super) fn name(row: &TableRow) -> String {
    if row.memory {
        format!("{} + memory", row.variant)
    } else {
        row.variant.clone()
    }
}
