//! CSV: one line per row, every number in full, unknown settings empty.

use std::fmt::Display;

use ddrs_common::attack::AttackTally;
use ddrs_common::domain::Radius;
use ddrs_common::spec::BoundRule;

use super::escape::csv as escaped;
use super::grid::statement_word;
use crate::aggregate::{SigmaShares, Table, TableRow};

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

/// The last columns: the number of pairs of certificates of which one is false, the rules that are
/// not the published ones, and the number of samples at the sigma of each level.
const LAST_COLUMNS: [&str; 4] = ["contradictions", "stopping", "bound", "levels"];

pub(super) fn csv(table: &Table) -> String {
    let rows = table.rows.iter().map(|row| fields(table, row));
    let lines = std::iter::once(header(table)).chain(rows);
    lines.map(|fields| fields.join(",") + "\n").collect()
}

fn header(table: &Table) -> Vec<String> {
    let mut header: Vec<String> = COLUMNS.map(str::to_owned).into();
    header.extend(accuracy_columns(table));
    header.extend(CHOSEN_COLUMNS.map(str::to_owned));
    header.extend(LAST_COLUMNS.map(str::to_owned));
    header.extend(attacked_radii(table).map(|radius| format!("at_most_at_{radius}")));
    header
}

fn accuracy_columns(table: &Table) -> impl Iterator<Item = String> {
    let radii = table.radii.iter();
    radii.map(|radius| format!("accuracy_at_{radius}"))
}

/// The fields of [`COLUMNS`], the certified accuracy at each radius, those of [`CHOSEN_COLUMNS`]
/// and of [`LAST_COLUMNS`], and the share that attacks leave at each radius.
fn fields(table: &Table, row: &TableRow) -> Vec<String> {
    let mut fields = names(row).to_vec();
    fields.extend(counts(row));
    fields.extend(settings(row));
    fields.extend(row.certified_accuracy().iter().map(f64::to_string));
    fields.extend(chosen(row));
    fields.extend(last(row));
    fields.extend(attacked_radii(table).map(|radius| at_most(row, radius)));
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

fn last(row: &TableRow) -> [String; 4] {
    let settings = &row.settings;
    [
        row.contradictions.len().to_string(),
        escaped(settings.stopping.as_deref().unwrap_or_default()),
        or_empty(settings.bound.map(BoundRule::as_str)),
        row.levels.as_ref().map_or_else(String::new, levels),
    ]
}

/// The radii of the table if a row was attacked at one of them.
fn attacked_radii(table: &Table) -> impl Iterator<Item = Radius> + '_ {
    let radii = table.radii.iter();
    radii.filter(|_| table.has_attacks())
}

/// The share of the samples that hold at a radius, at most; empty where nothing was attacked.
fn at_most(row: &TableRow, radius: Radius) -> String {
    or_empty(row.attack_at(radius).map(AttackTally::at_most_accuracy))
}

/// Each level as its sigma and its number of samples: `0.25:60 0.5:40`.
fn levels(shares: &SigmaShares) -> String {
    let shares = shares.iter();
    let shares = shares.map(|(sigma, samples)| format!("{sigma}:{samples}"));
    shares.collect::<Vec<_>>().join(" ")
}

fn or_empty(value: Option<impl Display>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
