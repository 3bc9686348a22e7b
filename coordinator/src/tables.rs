//! From a run folder to its tables: records are read, Algorithm 2 is applied where the
//! specification asks for it, and the rows are counted.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use ddrs_common::certify;
use ddrs_common::data::Dataset;
use ddrs_common::domain::{Choice, Outcome, Radii, Radius, Record, SampleIndex, VariantName};
use ddrs_common::plan::Plan;
use ddrs_common::record_file;
use ddrs_common::spec::{Stopping, Sweep, Variant, digest_to_hex};
use ddrs_common::stats;
use tracing::warn;

use crate::aggregate::{Entry, Settings, Table, Verdict, row};
use crate::log_file::Line;
use crate::memory::{self, Point};
use crate::report::{self, VariantLog};
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
    /// Reads a run folder. Where the data for Algorithm 2 cannot be read, a warning says so and the
    /// rows with memory are left out.
    ///
    /// # Errors
    /// When the folder is no run folder, or a file in it is not what it should be.
    pub fn read(dir: &RunDir) -> Result<Self> {
        let manifest = dir.manifest()?;
        let sweep = manifest.sweep.sweep()?;
        let mut by_variant: BTreeMap<VariantName, Vec<Record>> = BTreeMap::new();
        let plan = manifest.sweep.plan()?;
        for record in record_file::read(&dir.records())? {
            check(&record, &sweep, &plan).with_context(|| {
                format!(
                    "{}: {} {}",
                    dir.records().display(),
                    record.variant,
                    record.index
                )
            })?;
            by_variant
                .entry(record.variant.clone())
                .or_default()
                .push(record);
        }
        let mut groups = Vec::new();
        for variant in sweep.variants() {
            let mut records = by_variant.remove(&variant.name).unwrap_or_default();
            records.sort_by_key(|record| record.index);
            let entries = records.iter().map(Entry::from).collect();
            groups.push(Group {
                variant,
                records,
                entries,
                resolved: None,
            });
        }
        let mut samples = Self {
            manifest,
            sweep,
            groups,
        };
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
            rows.push(row(
                name,
                false,
                &group.entries,
                radii,
                self.settings(&group.variant, expected),
            ));
            if let Some(resolved) = &group.resolved {
                rows.push(row(
                    name,
                    true,
                    resolved,
                    radii,
                    self.settings(&group.variant, expected),
                ));
            }
        }
        Ok(Table {
            title: self.sweep.name.clone(),
            radii: radii.clone(),
            rows,
        })
    }

    fn settings(&self, variant: &Variant, expected: u64) -> Settings {
        let certify = &self.sweep.certify;
        Settings {
            n0: Some(certify.n0.get()),
            n: Some(certify.n.get()),
            stopping: (certify.stopping != Stopping::Fixed).then(|| certify.stopping.to_string()),
            alpha: Some(certify.alpha),
            seed: Some(self.sweep.seed),
            sigma0: Some(variant.sigma0),
            precision: Some(
                self.sweep.models[variant.model]
                    .precision
                    .as_str()
                    .to_owned(),
            ),
            expected: Some(expected),
        }
    }

    fn apply_memory(&mut self) {
        if self
            .groups
            .iter()
            .all(|group| group.variant.choice == Choice::Fixed)
        {
            return;
        }
        let opened =
            Dataset::open(&self.sweep.dataset).and_then(|dataset| Ok((dataset.digest()?, dataset)));
        let dataset = match opened {
            Ok((digest, dataset)) if digest_to_hex(&digest) == self.manifest.sweep.data_digest => {
                dataset
            }
            Ok(_) => {
                return warn!(
                    "no rows with memory: {} is not the data certified",
                    self.sweep.dataset.path.display()
                );
            }
            Err(error) => return warn!("no rows with memory: {error}"),
        };
        for group in self
            .groups
            .iter_mut()
            .filter(|group| group.variant.choice == Choice::DataDependent)
        {
            match resolve(group, &dataset) {
                Ok(entries) => group.resolved = Some(entries),
                Err(error) => warn!("no row with memory for {}: {error:#}", group.variant.name),
            }
        }
    }
}

/// A record must be one of this sweep's, and its radius follow from its own counts and the sweep's
/// stopping rule.
///
/// # Errors
/// What does not fit.
pub(crate) fn check(record: &Record, sweep: &Sweep, plan: &Plan) -> Result<()> {
    ensure!(
        plan.position(record.index).is_some() && record.seed == sweep.seed,
        "no sample of this sweep"
    );
    let Ok(certification) = &record.result else {
        return Ok(());
    };
    let (spec, count) = (&sweep.certify, certification.count);
    let bound = certify::bound(spec, count, certification.n);
    let same = certification.n0 == spec.n0.get() && certification.alpha == spec.alpha;
    let Some(p_lower) = bound.filter(|_| same) else {
        bail!("n, n0 or alpha are not the sweep's")
    };
    let radius = stats::radius(certification.sigma, p_lower);
    let found = match certification.outcome {
        Outcome::Certified { radius, .. } => radius,
        Outcome::Abstained => Radius::ZERO,
    };
    ensure!(
        radius == found,
        "its radius is {found}, but its counts and sigma give {radius}"
    );
    Ok(())
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
    let resolved = memory::resolve(&outcomes, |place| {
        Ok(Point::from(dataset.image(indices[place])?))
    })?;
    let with = |(entry, outcome): (&Entry, Outcome)| match entry.verdict {
        Verdict::Failed => *entry,
        _ => Entry {
            verdict: outcome.into(),
            ..*entry
        },
    };
    Ok(group.entries.iter().zip(resolved).map(with).collect())
}

/// Writes `report/` and brings `manifest.json` up to date with the records.
///
/// # Errors
/// When the folder is no run folder or cannot be written.
pub fn write_reports(dir: &RunDir) -> Result<()> {
    let samples = Samples::read(dir)?;
    let table = samples.table(&samples.sweep.report.radii)?;
    let manifest = samples.brought_up_to_date(&table);
    dir.write_manifest(&manifest)?;
    report::write_all(&dir.report(), &table, &facts(&manifest), &samples.logs())
}

impl Samples {
    fn brought_up_to_date(&self, table: &Table) -> Manifest {
        let mut manifest = self.manifest.clone();
        let records = || self.groups.iter().flat_map(|group| &group.records);
        let machines: BTreeSet<String> = records()
            .map(|r| format!("{} ({})", r.worker, r.device))
            .collect();
        manifest.machines = machines.into_iter().collect();
        manifest.sample_seconds = records().map(|record| record.seconds).sum();
        if table.rows.iter().all(|row| row.missing == 0) {
            manifest.finished.get_or_insert_with(now);
        }
        manifest
    }

    /// A log for each row of the table.
    fn logs(&self) -> Vec<VariantLog> {
        let log = |group: &Group, entries: &[Entry], memory| VariantLog {
            variant: group.variant.name.clone(),
            memory,
            lines: group
                .records
                .iter()
                .zip(entries)
                .map(|(record, &entry)| Line::new(record, entry))
                .collect(),
        };
        let mut logs = Vec::new();
        for group in &self.groups {
            logs.push(log(group, &group.entries, false));
            logs.extend(
                group
                    .resolved
                    .iter()
                    .map(|entries| log(group, entries, true)),
            );
        }
        logs
    }
}

/// What the page says of a run beside its table.
fn facts(manifest: &Manifest) -> Vec<(String, String)> {
    let sweep = &manifest.sweep;
    let facts = [
        ("sweep", sweep.id.to_string()),
        ("specification", sweep.spec_file.clone()),
        ("data, SHA-256", sweep.data_digest.clone()),
        ("models, SHA-256", sweep.model_digests.join(", ")),
        ("ddrs", manifest.version.clone()),
        ("machines", manifest.machines.join(", ")),
        (
            "time on samples",
            format!("{:.0} s", manifest.sample_seconds),
        ),
    ];
    facts.map(|(name, value)| (name.to_owned(), value)).into()
}

#[cfg(test)]
mod tests;
