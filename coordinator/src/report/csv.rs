//! CSV: one line per row, every number in full, unknown settings empty.

use std::fmt::Display;

use super::escape::csv as escaped;
use super::grid::statement_word;
use crate::aggregate::{Table, TableRow};

const COLUMNS: [&str; 17] = [
    "variant",
    "statement",
    "memory",
    "sigma0",
    "samples",
    "average_certified_radius",
    "abstained",
    "correct",
    "certified_wrong",
    "failed",
    "missing",
    "indices",
    "n0",
    "n",
    "alpha",
    "seed",
    "precision",
];

/// The columns after those of the certified accuracy: quantiles of the chosen sigmas.
const CHOSEN_COLUMNS: [&str; 3] = ["sigma_p10", "sigma_p50", "sigma_p90"];

/// The last column: the number of pairs of certificates of which one is false.
const CONTRADICTIONS: &str = "contradictions";

pub(super) fn csv(table: &Table) -> String {
    let lines = std::iter::once(header(table)).chain(table.rows.iter().map(fields));
    lines.map(|fields| fields.join(",") + "\n").collect()
}

fn header(table: &Table) -> Vec<String> {
    let mut header: Vec<String> = COLUMNS.map(str::to_owned).into();
    header.extend(accuracy_columns(table));
    header.extend(CHOSEN_COLUMNS.map(str::to_owned));
    header.push(CONTRADICTIONS.to_owned());
    header
}

fn accuracy_columns(table: &Table) -> impl Iterator<Item = String> {
    let radii = table.radii.iter();
    radii.map(|radius| format!("accuracy_at_{radius}"))
}

/// The fields of [`COLUMNS`], the certified accuracy at each radius, those of [`CHOSEN_COLUMNS`],
/// and [`CONTRADICTIONS`].
fn fields(row: &TableRow) -> Vec<String> {
    let mut fields = names(row).to_vec();
    fields.extend(counts(row));
    fields.extend(settings(row));
    fields.extend(row.certified_accuracy().iter().map(f64::to_string));
    fields.extend(chosen(row));
    fields.push(row.contradictions.len().to_string());
    fields
}

fn names(row: &TableRow) -> [String; 4] {
    [
        escaped(&row.variant),
        escaped(statement_word(row.statement())),
        row.memory.to_string(),
        or_empty(row.settings.sigma0),
    ]
}

fn counts(row: &TableRow) -> [String; 7] {
    [
        row.samples.to_string(),
        row.average_certified_radius.to_string(),
        row.abstained.to_string(),
        row.correct.to_string(),
        row.certified_wrong.to_string(),
        row.failed.to_string(),
        row.missing.to_string(),
    ]
}

fn settings(row: &TableRow) -> [String; 6] {
    let settings = &row.settings;
    [
        escaped(&row.indices.to_string()),
        or_empty(settings.n0),
        or_empty(settings.n),
        or_empty(settings.alpha),
        or_empty(settings.seed),
        escaped(settings.precision.as_deref().unwrap_or_default()),
    ]
}

fn chosen(row: &TableRow) -> [String; 3] {
    row.chosen.map_or_else(Default::default, |quantiles| {
        quantiles.values().map(|sigma| sigma.to_string())
    })
}

fn or_empty(value: Option<impl Display>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
