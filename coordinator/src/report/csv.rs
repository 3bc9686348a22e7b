//! One line a row, every number in full, unknown settings empty.

use std::fmt::Display;

use super::escape::csv as escaped;
use crate::aggregate::{Row, Table};

const COLUMNS: [&str; 16] = [
    "variant",
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

pub(super) fn csv(table: &Table) -> String {
    let mut header: Vec<String> = COLUMNS.iter().map(|&column| column.to_owned()).collect();
    header.extend(
        table
            .radii
            .iter()
            .map(|radius| format!("accuracy_at_{radius}")),
    );
    let lines = std::iter::once(header).chain(table.rows.iter().map(fields));
    lines.map(|fields| fields.join(",") + "\n").collect()
}

/// The fields of [`COLUMNS`], then the certified accuracy at each radius.
fn fields(row: &Row) -> Vec<String> {
    let s = &row.settings;
    let mut fields = vec![
        escaped(&row.variant),
        row.memory.to_string(),
        or_empty(s.sigma0),
        row.samples.to_string(),
        row.average_certified_radius.to_string(),
        row.abstained.to_string(),
        row.correct.to_string(),
        row.certified_wrong.to_string(),
        row.failed.to_string(),
        row.missing.to_string(),
        escaped(&row.indices.to_string()),
        or_empty(s.n0),
        or_empty(s.n),
        or_empty(s.alpha),
        or_empty(s.seed),
        escaped(s.precision.as_deref().unwrap_or_default()),
    ];
    fields.extend(row.certified_accuracy().iter().map(f64::to_string));
    fields
}

fn or_empty(value: Option<impl Display>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
