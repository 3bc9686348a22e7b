//! The contract with other programs: every number in full, unknown settings as `null`.

use ddrs_common::domain::{Alpha, Radii, Sigma};
use serde::Serialize;

use super::escape::escape_json;
use crate::aggregate::{IndexSet, Row, Table};

#[derive(Serialize)]
struct Report<'a> {
    title: &'a str,
    rows: Vec<ReportRow<'a>>,
}

#[derive(Serialize)]
struct ReportRow<'a> {
    variant: &'a str,
    memory: bool,
    samples: u64,
    radii: Vec<f64>,
    certified: &'a [u64],
    certified_accuracy: Vec<f64>,
    average_certified_radius: f64,
    abstained: u64,
    correct: u64,
    certified_wrong: u64,
    failed: u64,
    missing: u64,
    indices: Indices,
    n0: Option<u64>,
    n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopping: Option<&'a str>,
    alpha: Option<f64>,
    seed: Option<u64>,
    sigma0: Option<f64>,
    precision: Option<&'a str>,
}

/// `step` is `null` where the distances between neighbours differ.
#[derive(Serialize)]
struct Indices {
    first: Option<u64>,
    last: Option<u64>,
    step: Option<u64>,
    description: String,
}

pub(super) fn json(table: &Table) -> String {
    let rows = table
        .rows
        .iter()
        .map(|row| report_row(row, &table.radii))
        .collect();
    let report = Report {
        title: &table.title,
        rows,
    };
    // Plain fields and finite numbers always serialise.
    let text = serde_json::to_string_pretty(&report).unwrap_or_default();
    escape_json(&text) + "\n"
}

fn report_row<'a>(row: &'a Row, radii: &Radii) -> ReportRow<'a> {
    let settings = &row.settings;
    ReportRow {
        variant: &row.variant,
        memory: row.memory,
        samples: row.samples,
        radii: radii.values(),
        certified: &row.certified,
        certified_accuracy: row.certified_accuracy(),
        average_certified_radius: row.average_certified_radius,
        abstained: row.abstained,
        correct: row.correct,
        certified_wrong: row.certified_wrong,
        failed: row.failed,
        missing: row.missing,
        indices: indices(row.indices),
        n0: settings.n0,
        n: settings.n,
        stopping: settings.stopping.as_deref(),
        alpha: settings.alpha.map(Alpha::get),
        seed: settings.seed,
        sigma0: settings.sigma0.map(Sigma::get),
        precision: settings.precision.as_deref(),
    }
}

fn indices(set: IndexSet) -> Indices {
    let (first, last, step) = match set {
        IndexSet::Empty => (None, None, None),
        IndexSet::Regular { first, step, count } => {
            (Some(first), Some(first + (count - 1) * step), Some(step))
        }
        IndexSet::Irregular { first, last, .. } => (Some(first), Some(last), None),
    };
    Indices {
        first,
        last,
        step,
        description: set.to_string(),
    }
}
