//! From the results of samples to the numbers of a table: computed here once, rendered by `report`.
//!
//! Pure functions of their arguments. Records and certification logs both become [`Entry`]s; what
//! is left out is Algorithm 2, in `memory`, which changes entries before they are counted.

mod entry;
mod index_set;
mod row;

pub use entry::{Entry, Verdict};
pub use index_set::IndexSet;
pub use row::{Row, Settings, row};

use ddrs_common::domain::Radii;

/// Rows over common radii: all that any format of a report shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What the table is of: the sweep's name, or the sources compared.
    pub title: String,
    /// Where accuracy is certified.
    pub radii: Radii,
    /// One a variant, and one more for a variant with memory.
    pub rows: Vec<Row>,
}
