//! The text under a table: how to read it, and the settings that it depends on.

use super::grid::name;
use crate::aggregate::{Table, TableRow};

const READING: &str = "Certified accuracy in % at each L2 radius: samples predicted correctly \
    with at least that radius, of all samples. ACR is the average certified radius. All are cut, \
    not rounded up.";

const CHOSEN: &str = "chosen: the 10 %, 50 % and 90 % quantiles of the sigmas chosen per sample.";

/// Explains how to read the numbers.
pub(super) fn reading(table: &Table) -> String {
    if table.has_chosen_sigmas() {
        format!("{READING} {CHOSEN}")
    } else {
        READING.to_owned()
    }
}

/// The settings that the rows depend on, one sentence for all rows that share them, and a warning
/// for each incomplete row.
pub(super) fn notes(table: &Table) -> Vec<String> {
    let groups = grouped_by_settings(&table.rows);
    let is_single = groups.len() == 1;
    let settings = groups.iter().map(|(settings, names)| {
        if is_single {
            format!("all rows: {settings}")
        } else {
            format!("{}: {settings}", names.join(", "))
        }
    });
    settings
        .chain(table.rows.iter().filter_map(warning))
        .collect()
}

/// The settings in words, each with the names of its rows.
fn grouped_by_settings(rows: &[TableRow]) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for row in rows {
        let settings = settings(row);
        match groups.iter_mut().find(|(known, _)| *known == settings) {
            Some((_, names)) => names.push(name(row)),
            None => groups.push((settings, vec![name(row)])),
        }
    }
    groups
}

/// The settings of a row in words; unknown ones are listed as unknown.
fn settings(row: &TableRow) -> String {
    let settings = named_settings(row);
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    for (name, value) in settings {
        match value {
            Some(value) => known.push(format!("{name} {value}")),
            None => unknown.push(name),
        }
    }
    let mut parts = vec![row.indices.to_string()];
    if !known.is_empty() {
        parts.push(known.join(", "));
    }
    if !unknown.is_empty() {
        parts.push(format!("unknown: {}", unknown.join(", ")));
    }
    parts.join("; ")
}

fn named_settings(row: &TableRow) -> [(&'static str, Option<String>); 5] {
    let settings = &row.settings;
    let stopping = settings.stopping.as_deref();
    [
        ("n0", settings.n0.map(|n0| n0.to_string())),
        ("n", settings.n.map(|n| draws(n, stopping))),
        ("alpha", settings.alpha.map(|alpha| alpha.to_string())),
        ("seed", settings.seed.map(|seed| seed.to_string())),
        ("precision", settings.precision.clone()),
    ]
}

/// The number of draws of the estimation phase, and the rule that may have ended it earlier.
fn draws(n: u64, stopping: Option<&str>) -> String {
    stopping.map_or(n.to_string(), |rule| {
        format!("at most {n}, stopping {rule}")
    })
}

fn warning(row: &TableRow) -> Option<String> {
    let parts: Vec<String> = missing(row).into_iter().chain(failed(row)).collect();
    (!parts.is_empty()).then(|| format!("INCOMPLETE {}: {}", name(row), parts.join("; ")))
}

fn missing(row: &TableRow) -> Option<String> {
    let missing = row.missing;
    let expected = row.samples + missing;
    (missing > 0)
        .then(|| format!("{missing} of {expected} samples have no result yet and are not counted"))
}

fn failed(row: &TableRow) -> Option<String> {
    let failed = row.failed;
    (failed > 0).then(|| format!("{failed} failed and count as not certified"))
}
