//! The records of a run by variant, and the table counted from them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use ddrs_common::domain::{Radii, Record, VariantName};
use ddrs_common::record_file;
use ddrs_common::spec::{Stopping, Sweep, Variant};

use super::check_record::check_record;
use super::memory_rows;
use crate::aggregate::{Entry, RowSettings, Table, TableRow};
use crate::log_file::LogLine;
use crate::manifest::Manifest;
use crate::report::VariantLog;
use crate::run_dir::RunDir;

/// The checked samples of a run.
pub struct RunSamples {
    manifest: Manifest,
    sweep: Sweep,
    variants: Vec<VariantRecords>,
}

/// The samples of one variant, in order of index.
pub(super) struct VariantRecords {
    pub(super) variant: Variant,
    records: Vec<Record>,
    pub(super) entries: Vec<Entry>,
    /// The entries after Algorithm 2, where it applies and the data is there.
    pub(super) with_memory: Option<Vec<Entry>>,
}

impl RunSamples {
    /// Reads and checks the records of a run folder, and applies Algorithm 2 where the
    /// specification asks for it. If the data for Algorithm 2 cannot be read, logs a warning and
    /// leaves the rows with memory out.
    ///
    /// # Errors
    /// When the folder is not a run folder, or a file in it is invalid.
    pub fn read(dir: &RunDir) -> Result<Self> {
        let manifest = dir.manifest()?;
        let sweep = manifest.sweep.sweep()?;
        let records = read_records(dir, &manifest, &sweep)?;
        let mut variants = by_variant(&sweep, records);
        if sweep.certify.memory {
            memory_rows::apply(&mut variants, &sweep.dataset, &manifest.sweep.data_digest);
        }
        Ok(Self {
            manifest,
            sweep,
            variants,
        })
    }

    /// The radii of the sweep's reports.
    pub(super) fn radii(&self) -> &Radii {
        &self.sweep.report.radii
    }

    /// Counts the table at these radii: one row per variant, and one more for each with memory.
    ///
    /// # Errors
    /// When the manifest's specification is invalid.
    pub fn table(&self, radii: &Radii) -> Result<Table> {
        let expected = self.manifest.sweep.plan()?.samples();
        let rows = self.variants.iter().flat_map(|records| {
            let settings = settings(&self.sweep, &records.variant, expected);
            records.rows(radii, &settings)
        });
        Ok(Table {
            title: self.sweep.name.clone(),
            rows: rows.collect(),
            radii: radii.clone(),
        })
    }

    /// The manifest with the machines and times of the records.
    pub(super) fn updated_manifest(&self, is_complete: bool) -> Manifest {
        let records = self.variants.iter().flat_map(|variant| &variant.records);
        self.manifest.updated(records, is_complete)
    }

    /// A certification log for each row of the table.
    pub(super) fn logs(&self) -> Vec<VariantLog> {
        self.variants
            .iter()
            .flat_map(VariantRecords::logs)
            .collect()
    }
}

impl VariantRecords {
    /// The entries of each row, with or without memory.
    fn entry_sets(&self) -> impl Iterator<Item = (bool, &[Entry])> {
        let with_memory = self.with_memory.as_deref();
        let sets = with_memory.map(|entries| (true, entries));
        std::iter::once((false, self.entries.as_slice())).chain(sets)
    }

    fn rows(&self, radii: &Radii, settings: &RowSettings) -> Vec<TableRow> {
        let name = self.variant.name.as_str();
        self.entry_sets()
            .map(|(memory, entries)| {
                TableRow::count(name, memory, entries, radii, settings.clone())
            })
            .collect()
    }

    fn logs(&self) -> Vec<VariantLog> {
        self.entry_sets()
            .map(|(memory, entries)| VariantLog {
                variant: self.variant.name.clone(),
                memory,
                lines: log_lines(&self.records, entries),
            })
            .collect()
    }
}

fn read_records(dir: &RunDir, manifest: &Manifest, sweep: &Sweep) -> Result<Vec<Record>> {
    let plan = manifest.sweep.plan()?;
    let path = dir.records();
    let records = record_file::read(&path)?;
    for record in &records {
        check_record(record, sweep, &plan)
            .with_context(|| format!("{}: {} {}", path.display(), record.variant, record.index))?;
    }
    Ok(records)
}

/// Sorts the records into the sweep's variants.
fn by_variant(sweep: &Sweep, records: Vec<Record>) -> Vec<VariantRecords> {
    let mut by_name: BTreeMap<VariantName, Vec<Record>> = BTreeMap::new();
    for record in records {
        let name = record.variant.clone();
        by_name.entry(name).or_default().push(record);
    }
    let variants = sweep.variants().into_iter();
    variants
        .map(|variant| {
            let records = by_name.remove(&variant.name).unwrap_or_default();
            variant_records(variant, records)
        })
        .collect()
}

fn variant_records(variant: Variant, mut records: Vec<Record>) -> VariantRecords {
    records.sort_by_key(|record| record.index);
    VariantRecords {
        variant,
        entries: records.iter().map(Entry::from).collect(),
        records,
        with_memory: None,
    }
}

fn settings(sweep: &Sweep, variant: &Variant, expected: u64) -> RowSettings {
    let certify = &sweep.certify;
    let stopping = &certify.stopping;
    let precision = sweep.models[variant.model].precision;
    RowSettings {
        n0: Some(certify.n0.get()),
        n: Some(certify.n.get()),
        stopping: (*stopping != Stopping::Fixed).then(|| stopping.to_string()),
        alpha: Some(certify.alpha),
        seed: Some(sweep.seed),
        sigma0: Some(variant.sigma0),
        choice: Some(variant.choice),
        precision: Some(precision.as_str().to_owned()),
        expected: Some(expected),
    }
}

fn log_lines(records: &[Record], entries: &[Entry]) -> Vec<LogLine> {
    records
        .iter()
        .zip(entries)
        .map(|(record, &entry)| LogLine::new(record, entry))
        .collect()
}
