//! The tables of a run folder: reads and checks the records, applies Algorithm 2 where the
//! specification asks for it, and writes `report/`.
//!
//! - `run_samples`: the records of a run by variant, and the table counted from them
//! - `variant_records`: the samples of one variant, with and without memory
//! - `check_record`: rejects a record that does not follow from the sweep and its own counts
//! - `check_selected`: the same for a record whose level was selected
//! - `memory_rows`: applies Algorithm 2 to the variants with data-dependent sigma

mod check_record;
mod check_selected;
mod memory_rows;
mod run_samples;
mod variant_records;

use anyhow::Result;

use crate::manifest::Manifest;
use crate::report;
use crate::run_dir::RunDir;

pub(crate) use check_record::check_record;
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
