//! The samples of one variant, with and without memory.

use ddrs_common::attack::AttackTally;
use ddrs_common::domain::{Radii, Record};
use ddrs_common::spec::Variant;

use crate::aggregate::{Contradiction, Entry, RowSettings, TableRow};
use crate::log_file::LogLine;
use crate::report::VariantLog;

/// The samples of one variant, in order of index.
pub(super) struct VariantRecords {
    pub(super) variant: Variant,
    pub(super) records: Vec<Record>,
    pub(super) entries: Vec<Entry>,
    /// The entries after Algorithm 2, where it applies and the data is there.
    pub(super) with_memory: Option<Vec<Entry>>,
    /// The pairs of certificates of which one is false, where all are about one classifier.
    pub(super) contradictions: Vec<Contradiction>,
    /// The attacks on the certificates without memory, one entry per radius.
    pub(super) attacks: Vec<AttackTally>,
}

impl VariantRecords {
    pub(super) fn new(variant: Variant, mut records: Vec<Record>) -> Self {
        records.sort_by_key(|record| record.index);
        Self {
            variant,
            entries: records.iter().map(Entry::from).collect(),
            records,
            with_memory: None,
            contradictions: Vec::new(),
            attacks: Vec::new(),
        }
    }

    /// The entries of each row, with or without memory.
    fn entry_sets(&self) -> impl Iterator<Item = (bool, &[Entry])> {
        let with_memory = self.with_memory.as_deref();
        let sets = with_memory.map(|entries| (true, entries));
        std::iter::once((false, self.entries.as_slice())).chain(sets)
    }

    /// Counts a row per set of entries.
    pub(super) fn rows(&self, radii: &Radii, settings: &RowSettings) -> Vec<TableRow> {
        let name = self.variant.name.as_str();
        self.entry_sets()
            .map(|(memory, entries)| TableRow {
                contradictions: self.contradictions.clone(),
                attacks: self.attacks_on(memory),
                ..TableRow::count(name, memory, entries, radii, settings.clone())
            })
            .collect()
    }

    /// The attacks on one set of entries. Certificates with memory are not attacked.
    fn attacks_on(&self, memory: bool) -> Vec<AttackTally> {
        if memory {
            Vec::new()
        } else {
            self.attacks.clone()
        }
    }

    /// Makes a certification log per set of entries.
    pub(super) fn logs(&self) -> Vec<VariantLog> {
        self.entry_sets()
            .map(|(memory, entries)| VariantLog {
                variant: self.variant.name.clone(),
                memory,
                lines: log_lines(&self.records, entries),
            })
            .collect()
    }
}

fn log_lines(records: &[Record], entries: &[Entry]) -> Vec<LogLine> {
    records
        .iter()
        .zip(entries)
        .map(|(record, &entry)| LogLine::new(record, entry))
        .collect()
}
