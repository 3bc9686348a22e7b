//! The records of a run by variant, and the table counted from them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use ddrs_common::domain::{Radii, Record, VariantName};
use ddrs_common::record_file;
use ddrs_common::spec::{Stopping, Sweep, Variant};

use super::check_record::check_record;
use super::memory_rows;
use super::variant_records::VariantRecords;
use crate::aggregate::{RowSettings, Table, TableRow};
use crate::manifest::Manifest;
use crate::report::VariantLog;
use crate::run_dir::RunDir;

/// The checked samples of a run.
pub(crate) struct RunSamples {
    manifest: Manifest,
    sweep: Sweep,
    variants: Vec<VariantRecords>,
}

impl RunSamples {
    /// Reads and checks the records of a run folder, and applies Algorithm 2 where the
    /// specification asks for it. If the data for Algorithm 2 cannot be read, logs a warning and
    /// leaves the rows with memory out.
    ///
    /// # Errors
    /// When the folder is not a run folder, or a file in it is invalid.
    pub(crate) fn read(dir: &RunDir) -> Result<Self> {
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
    pub(crate) fn table(&self, radii: &Radii) -> Result<Table> {
        let expected = self.manifest.sweep.plan()?.samples();
        let variants = self.variants.iter();
        Ok(Table {
            title: self.sweep.name.clone(),
            rows: variants
                .flat_map(|records| self.rows(records, radii, expected))
                .collect(),
            radii: radii.clone(),
        })
    }

    fn rows(&self, records: &VariantRecords, radii: &Radii, expected: u64) -> Vec<TableRow> {
        let settings = settings(&self.sweep, &records.variant, expected);
        records.rows(radii, &settings)
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

fn read_records(dir: &RunDir, manifest: &Manifest, sweep: &Sweep) -> Result<Vec<Record>> {
    let plan = manifest.sweep.plan()?;
    let path = dir.records();
    let records = record_file::read(&path)?;
    for record in &records {
        check_record(record, sweep, &plan, manifest.sweep.loss())
            .with_context(|| place(&path, record))?;
    }
    Ok(records)
}

fn place(file: &Path, record: &Record) -> String {
    format!("{}: {} {}", file.display(), record.variant, record.index)
}

/// Sorts the records into the sweep's variants.
fn by_variant(sweep: &Sweep, records: Vec<Record>) -> Vec<VariantRecords> {
    let mut by_name = by_name(records);
    let variants = sweep.variants().into_iter();
    variants
        .map(|variant| {
            let records = by_name.remove(&variant.name).unwrap_or_default();
            VariantRecords::new(variant, records)
        })
        .collect()
}

fn by_name(records: Vec<Record>) -> BTreeMap<VariantName, Vec<Record>> {
    let mut by_name: BTreeMap<_, Vec<Record>> = BTreeMap::new();
    for record in records {
        let name = record.variant.clone();
        by_name.entry(name).or_default().push(record);
    }
    by_name
}

fn settings(sweep: &Sweep, variant: &Variant, expected: u64) -> RowSettings {
    let certify = &sweep.certify;
    let stopping = &certify.stopping;
    RowSettings {
        n0: Some(certify.n0.get()),
        n: Some(certify.n.get()),
        stopping: (*stopping != Stopping::Fixed).then(|| stopping.to_string()),
        alpha: Some(certify.alpha),
        seed: Some(sweep.seed),
        sigma0: Some(variant.sigma0),
        choice: Some(variant.choice),
        precision: Some(precisions(sweep, variant)),
        expected: Some(expected),
    }
}

/// The precision of a variant's networks: one word, or one for each where they differ.
fn precisions(sweep: &Sweep, variant: &Variant) -> String {
    let networks = sweep.networks();
    let places = sweep.networks_of(variant).into_iter();
    let mut words: Vec<&str> = places
        .map(|place| networks[place].precision.as_str())
        .collect();
    words.dedup();
    words.join(", ")
}
