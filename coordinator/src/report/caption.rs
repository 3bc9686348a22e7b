//! What stands under a table: how to read it and what it rests on.

use std::fmt::Display;

use super::grid::name;
use crate::aggregate::{Row, Table};

/// How to read the numbers.
pub(super) const READING: &str = "Certified accuracy in % at each L2 radius: samples predicted correctly with at \
    least that radius, of all samples. ACR is the average certified radius. All are cut, not rounded up.";

/// What the rows rest on, one sentence for all rows that share it, and a warning for each row that is not complete.
pub(super) fn notes(table: &Table) -> Vec<String> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for row in &table.rows {
        let basis = basis(row);
        match groups.iter_mut().find(|(known, _)| *known == basis) {
            Some((_, names)) => names.push(name(row)),
            None => groups.push((basis, vec![name(row)])),
        }
    }
    let single = groups.len() == 1;
    let settings = groups.into_iter().map(|(basis, names)| {
        let rows = if single { "all rows".to_owned() } else { names.join(", ") };
        format!("{rows}: {basis}")
    });
    settings.chain(table.rows.iter().filter_map(warning)).collect()
}

/// The settings of a row in words; what is not known is said to be so.
fn basis(row: &Row) -> String {
    let s = &row.settings;
    format!(
        "{}; n0 {}, n {}, alpha {}, seed {}, precision {}",
        row.indices,
        or_unknown(s.n0),
        or_unknown(s.n),
        or_unknown(s.alpha),
        or_unknown(s.seed),
        or_unknown(s.precision.as_ref()),
    )
}

fn or_unknown(value: Option<impl Display>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| value.to_string())
}

fn warning(row: &Row) -> Option<String> {
    let expected = row.samples + row.missing;
    let missing = (row.missing > 0)
        .then(|| format!("{} of {expected} samples have no result yet and are not counted", row.missing));
    let failed = (row.failed > 0).then(|| format!("{} failed and count as not certified", row.failed));
    let parts: Vec<String> = missing.into_iter().chain(failed).collect();
    (!parts.is_empty()).then(|| format!("INCOMPLETE {}: {}", name(row), parts.join("; ")))
}
