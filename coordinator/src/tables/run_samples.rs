//! The records of a run by variant, and the table counted from them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use ddrs_common::domain::{Radii, Record, VariantName};
use ddrs_common::record_file;
use ddrs_common::spec::{BoundRule, Stopping, Sweep, Variant};

use super::attacks;
use super::certified_data::CertifiedData;
use super::check_record::RecordRules;
use super::refusal;
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
    /// Reads and checks the records of a run folder, applies Algorithm 2 where the specification
    /// asks for it, compares the certificates of each classifier, and counts the attacks on them.
    /// If the data cannot be read, logs a warning and leaves out what needs it.
    ///
    /// # Errors
    /// When the folder is not a run folder, or a file in it is invalid.
    pub(crate) fn read(dir: &RunDir) -> Result<Self> {
        let manifest = dir.manifest()?;
        let sweep = manifest.sweep.sweep()?;
        let data = CertifiedData::open(&sweep.dataset, &manifest.sweep);
        let records = read_records(dir, &manifest, &sweep, &data)?;
        let mut variants = by_variant(&sweep, records);
        data.compare(&mut variants, sweep.certify.memory);
        attacks::add(dir, &manifest, &sweep, &mut variants)?;
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

fn read_records(
    dir: &RunDir,
    manifest: &Manifest,
    sweep: &Sweep,
    data: &CertifiedData,
) -> Result<Vec<Record>> {
    let path = dir.records();
    let numbered = record_file::read_numbered(&path)?;
    let plan = manifest.sweep.plan()?;
    let rules = RecordRules::new(sweep, &plan, manifest.sweep.loss());
    check_all(&path, &numbered, &rules)?;
    data.check(&path, &numbered)?;
    Ok(numbered.into_iter().map(|(_, record)| record).collect())
}

fn check_all(file: &Path, records: &[(usize, Record)], rules: &RecordRules) -> Result<()> {
    for (line, record) in records {
        let checked = rules.check(record);
        checked.map_err(|error| refusal(file, *line, record, &error))?;
    }
    Ok(())
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
        bound: (certify.bound != BoundRule::OneClass).then_some(certify.bound),
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
