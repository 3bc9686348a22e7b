//! What stands under a table: how to read it and what it rests on.

use super::grid::name;
use crate::aggregate::{Row, Table};

/// How to read the numbers.
pub(super) const READING: &str = "Certified accuracy in % at each L2 radius: samples predicted correctly with at \
    least that radius, of all samples. ACR is the average certified radius. All are cut, not rounded up.";

/// What the rows rest on, one sentence for all rows that share it, and a warning for each row that
/// is not complete.
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
        let rows = if single {
            "all rows".to_owned()
        } else {
            names.join(", ")
        };
        format!("{rows}: {basis}")
    });
    settings
        .chain(table.rows.iter().filter_map(warning))
        .collect()
}

/// The settings of a row in words; what is not known is said to be so.
fn basis(row: &Row) -> String {
    let s = &row.settings;
    let settings = [
        ("n0", s.n0.map(|n0| n0.to_string())),
        ("n", s.n.map(|n| draws(n, s.stopping.as_deref()))),
        ("alpha", s.alpha.map(|alpha| alpha.to_string())),
        ("seed", s.seed.map(|seed| seed.to_string())),
        ("precision", s.precision.clone()),
    ];
    let known: Vec<String> = settings
        .iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name} {value}")))
        .collect();
    let unknown: Vec<&str> = settings
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| *name)
        .collect();
    let unknown = (!unknown.is_empty()).then(|| format!("unknown: {}", unknown.join(", ")));
    let parts = [
        Some(row.indices.to_string()),
        (!known.is_empty()).then(|| known.join(", ")),
        unknown,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// How many draws bound a probability, and the rule by which they may have been fewer.
fn draws(n: u64, stopping: Option<&str>) -> String {
    stopping.map_or(n.to_string(), |rule| {
        format!("at most {n}, stopping {rule}")
    })
}

fn warning(row: &Row) -> Option<String> {
    let expected = row.samples + row.missing;
    let missing = (row.missing > 0).then(|| {
        format!(
            "{} of {expected} samples have no result yet and are not counted",
            row.missing
        )
    });
    let failed =
        (row.failed > 0).then(|| format!("{} failed and count as not certified", row.failed));
    let parts: Vec<String> = missing.into_iter().chain(failed).collect();
    (!parts.is_empty()).then(|| format!("INCOMPLETE {}: {}", name(row), parts.join("; ")))
}
