//! The numbers of a table, computed from the results of samples. `report` renders them.
//!
//! These are pure functions of their arguments. Records and certification logs both become
//! [`Entry`]s. Algorithm 2 is not here: `memory` applies it to entries before they are counted.

pub(crate) mod envelope;

mod entry;
mod index_set;
mod row;
mod sigma_quantiles;
mod sigma_shares;

pub use entry::{Entry, EntryOutcome};
pub(crate) use index_set::IndexSet;
pub(crate) use row::{Contradiction, RowSettings, TableRow};
pub(crate) use sigma_quantiles::SigmaQuantiles;
pub(crate) use sigma_shares::SigmaShares;

use ddrs_common::domain::{Radii, Statement};

/// Rows over common radii: everything that a format of a report shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    /// The sweep's name, or the names of the sources that are compared.
    pub title: String,
    /// The radii at which accuracy is certified.
    pub radii: Radii,
    /// One row per variant, and a second one for a variant with memory.
    pub rows: Vec<TableRow>,
}

impl Table {
    /// Returns true if every sample of every row has a result.
    #[must_use]
    pub(crate) fn is_complete(&self) -> bool {
        self.rows.iter().all(|row| row.missing == 0)
    }

    /// Returns the rows by the kind of statement that their certificates make. The rows of logs
    /// that do not name it are last.
    #[must_use]
    pub(crate) fn by_statement(&self) -> Vec<(Option<Statement>, Vec<&TableRow>)> {
        let kinds = Statement::ALL.into_iter().map(Some).chain([None]);
        kinds
            .map(|kind| (kind, self.rows_of(kind)))
            .filter(|(_, rows)| !rows.is_empty())
            .collect()
    }

    fn rows_of(&self, kind: Option<Statement>) -> Vec<&TableRow> {
        let rows = self.rows.iter();
        rows.filter(|row| row.statement() == kind).collect()
    }

    /// Returns true if a row was attacked at one of the table's radii.
    #[must_use]
    pub(crate) fn has_attacks(&self) -> bool {
        let is_attacked = |row: &TableRow| self.radii.iter().any(|r| row.attack_at(r).is_some());
        self.rows.iter().any(is_attacked)
    }

    /// Returns true if a row has chosen sigmas.
    #[must_use]
    pub(crate) fn has_chosen_sigmas(&self) -> bool {
        let mut rows = self.rows.iter();
        rows.any(|row| row.chosen.is_some() || row.levels.is_some())
    }
}
