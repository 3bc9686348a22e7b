//! The tables of a run folder: reads and checks the records, applies Algorithm 2 where the
//! specification asks for it, and writes `report/`.
//!
//! - `run_samples`: the records of a run by variant, and the table counted from them
//! - `variant_records`: the samples of one variant, with and without memory
//! - `check_record`: rejects a record that does not follow from the sweep and its own counts
//! - `check_selected`: the same for a record whose level was selected
//! - `certified_data`: the checks that need the data
//! - `attacks`: reads the attacks on certificates, and checks that they belong to the run
//! - `compare`: applies Algorithm 2, and finds certificates that contradict each other

mod attacks;
mod certified_data;
mod check_plan;
mod check_record;
mod check_selected;
mod compare;
mod run_samples;
mod variant_records;

use std::path::Path;

use anyhow::{Error, Result, anyhow};
use ddrs_common::domain::Record;

use crate::manifest::Manifest;
use crate::report;
use crate::run_dir::RunDir;

pub(crate) use check_record::RecordRules;
pub(crate) use run_samples::RunSamples;

/// Writes `report/` and updates `manifest.json` from the records.
///
/// # Errors
/// When the folder is not a run folder or cannot be written.
pub(crate) fn write_reports(dir: &RunDir) -> Result<()> {
    let samples = RunSamples::read(dir)?;
    let table = samples.table(samples.radii())?;
    let manifest = samples.updated_manifest(table.is_complete());
    dir.write_manifest(&manifest)?;
    report::write_all(&dir.report(), &table, &facts(&manifest), &samples.logs())
}

/// Says which line of a file is refused, why, and what to do.
pub(crate) fn refusal(file: &Path, line: usize, record: &Record, reason: &Error) -> Error {
    let place = format!("{}, line {line}", file.display());
    let sample = format!("{} index {}", record.variant, record.index);
    anyhow!(
        "{place}: {sample}: {reason:#}; the line is damaged or was edited: delete it and give the \
         run again to certify this sample again"
    )
}

/// The facts about a run that its page shows under the table, as names and values.
fn facts(manifest: &Manifest) -> Vec<(String, String)> {
    let sweep = &manifest.sweep;
    let facts = [
        ("sweep", sweep.id.to_string()),
        ("specification", sweep.spec_file.clone()),
        ("data, SHA-256", sweep.data_digest.clone()),
        ("models, SHA-256", sweep.model_digests.join(", ")),
        ("ddrs", manifest.version.clone()),
        ("machines", manifest.machines.join(", ")),
        ("time on samples", seconds_text(manifest.sample_seconds)),
    ];
    facts.map(|(name, value)| (name.to_owned(), value)).into()
}

fn seconds_text(seconds: f64) -> String {
    format!("{seconds:.0} s")
}
