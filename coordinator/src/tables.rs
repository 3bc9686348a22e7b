//! From a run folder to its tables: records are read, Algorithm 2 is applied where the specification asks for it, and
//! the rows are counted.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use ddrs_common::data::Dataset;
use ddrs_common::domain::{Choice, Outcome, Record, SampleIndex, VariantName};
use ddrs_common::record_file;
use ddrs_common::spec::{Sweep, Variant};
use tracing::warn;

use crate::aggregate::{Entry, Radii, Row, Settings, Table, Verdict, row};
use crate::memory;
use crate::run_dir::{Manifest, RunDir, now};

/// The samples of a run: what tables are counted from.
pub struct Samples {
    manifest: Manifest,
    sweep: Sweep,
    groups: Vec<Group>,
}

/// The samples of one variant, in order of index.
struct Group {
    variant: Variant,
    records: Vec<Record>,
    entries: Vec<Entry>,
    /// After Algorithm 2, where it applies and the data is there.
    resolved: Option<Vec<Entry>>,
}

impl Samples {
    /// Reads a run folder. Where the data for Algorithm 2 cannot be read, a warning says so and the rows with memory
    /// are left out.
    ///
    /// # Errors
    /// When the folder is no run folder, or a file in it is not what it should be.
    pub fn read(dir: &RunDir) -> Result<Self> {
        let manifest = dir.manifest()?;
        let sweep = manifest.sweep.sweep()?;
        let mut by_variant: BTreeMap<VariantName, Vec<Record>> = BTreeMap::new();
        for record in record_file::read(&dir.records())? {
            by_variant.entry(record.variant.clone()).or_default().push(record);
        }
        let mut groups = Vec::new();
        for variant in sweep.variants() {
            let mut records = by_variant.remove(&variant.name).unwrap_or_default();
            records.sort_by_key(|record| record.index);
            let entries = records.iter().map(Entry::from).collect();
            groups.push(Group { variant, records, entries, resolved: None });
        }
        let mut samples = Self { manifest, sweep, groups };
        if samples.sweep.certify.memory {
            samples.apply_memory();
        }
        Ok(samples)
    }

    /// The table at these radii: a row a variant, and another for each with memory.
    ///
    /// # Errors
    /// When the manifest makes no plan.
    pub fn table(&self, radii: &Radii) -> Result<Table> {
        let expected = self.manifest.sweep.plan()?.samples();
        let mut rows = Vec::new();
        for group in &self.groups {
            let name = group.variant.name.as_str();
            rows.push(row(name, false, &group.entries, radii, self.settings(&group.variant, expected)));
            if let Some(resolved) = &group.resolved {
                rows.push(row(name, true, resolved, radii, self.settings(&group.variant, expected)));
            }
        }
        Ok(Table { title: self.sweep.name.clone(), radii: radii.clone(), rows })
    }

    fn settings(&self, variant: &Variant, expected: u64) -> Settings {
        let certify = &self.sweep.certify;
        Settings {
            n0: Some(certify.n0.get()),
            n: Some(certify.n.get()),
            alpha: Some(certify.alpha),
            seed: Some(self.sweep.seed),
            sigma0: Some(variant.sigma0),
            precision: Some(self.sweep.models[variant.model].precision.to_string()),
            expected: Some(expected),
        }
    }

    fn apply_memory(&mut self) {
        if self.groups.iter().all(|group| group.variant.choice == Choice::Fixed) {
            return;
        }
        let dataset = match Dataset::open(&self.sweep.dataset) {
            Ok(dataset) => dataset,
            Err(error) => return warn!("no rows with memory: {error}"),
        };
        for group in self.groups.iter_mut().filter(|group| group.variant.choice == Choice::DataDependent) {
            match resolve(group, &dataset) {
                Ok(entries) => group.resolved = Some(entries),
                Err(error) => warn!("no row with memory for {}: {error:#}", group.variant.name),
            }
        }
    }
}

/// Algorithm 2 over one variant. Failed samples take no part, as abstentions do not.
fn resolve(group: &Group, dataset: &Dataset) -> Result<Vec<Entry>> {
    let outcomes: Vec<Outcome> = group
        .entries
        .iter()
        .map(|entry| match entry.verdict {
            Verdict::Certified { class, radius } => Outcome::Certified { class, radius },
            Verdict::Abstained | Verdict::Failed => Outcome::Abstained,
        })
        .collect();
    let indices: Vec<SampleIndex> = group.entries.iter().map(|entry| entry.index).collect();
    let resolved = memory::resolve(&outcomes, &memory::Images::new(dataset, &indices))?;
    let with = |(entry, outcome): (&Entry, Outcome)| match entry.verdict {
        Verdict::Failed => *entry,
        _ => Entry { verdict: outcome.into(), ..*entry },
    };
    Ok(group.entries.iter().zip(resolved).map(with).collect())
}

/// The radii that a specification asks for.
///
/// # Errors
/// When they are no radii; a checked specification has none such.
pub fn radii(sweep: &Sweep) -> Result<Radii> {
    Radii::new(sweep.report.radii.clone()).context("report.radii")
}

/// Writes `report/` and brings `manifest.json` up to date with the records.
///
/// # Errors
/// When the folder is no run folder or cannot be written.
pub fn write_reports(dir: &RunDir) -> Result<()> {
    let samples = Samples::read(dir)?;
    let table = samples.table(&radii(&samples.sweep)?)?;
    let mut manifest = samples.manifest.clone();
    let records = || samples.groups.iter().flat_map(|group| &group.records);
    manifest.machines = records().map(|record| format!("{} ({})", record.worker, record.device)).collect::<BTreeSet<_>>().into_iter().collect();
    manifest.sample_seconds = records().map(|record| record.seconds).sum();
    if table.rows.iter().all(|row| row.missing == 0) {
        manifest.finished.get_or_insert_with(now);
    }
    dir.write_manifest(&manifest)?;
    todo_write_all(dir, &table, &samples)
}
