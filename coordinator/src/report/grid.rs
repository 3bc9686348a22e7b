//! The cells of a table for reading, as every such format shows them. Formats escape them and put
//! them in place.

use super::number::{cut, headings, percent};
use crate::aggregate::{Row, Table};

/// Headings, and as many cells in each row. The first column is text, the others are numbers.
pub(super) struct Grid {
    pub(super) headings: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Grid {
    pub(super) fn of(table: &Table) -> Self {
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|&word| word.to_owned())
                .collect::<Vec<_>>()
        };
        let headings = [
            words(&["variant", "sigma", "samples"]),
            headings(&table.radii.values()),
            words(&["ACR", "abstained", "wrong", "failed"]),
        ]
        .concat();
        Self {
            headings,
            rows: table.rows.iter().map(cells).collect(),
        }
    }
}

fn cells(row: &Row) -> Vec<String> {
    let sigma = row
        .settings
        .sigma0
        .map_or_else(|| "?".to_owned(), |sigma| sigma.to_string());
    let mut cells = vec![name(row), sigma, row.samples.to_string()];
    cells.extend(
        row.certified
            .iter()
            .map(|&count| percent(count, row.samples)),
    );
    cells.push(cut(row.average_certified_radius, 3));
    cells.extend([row.abstained, row.certified_wrong, row.failed].map(|count| count.to_string()));
    cells
}

/// What a row is called: its variant, and whether memory was at work.
pub(super) fn name(row: &Row) -> String {
    if row.memory {
        format!("{} + memory", row.variant)
    } else {
        row.variant.clone()
    }
}
