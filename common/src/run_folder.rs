//! The files of a run folder that both programs read.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::bounded;
use crate::sweep_message::SweepMessage;

/// The largest manifest that is read: it holds an escaped specification and the names of machines.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// Returns the file of the records.
#[must_use]
pub fn records(run: &Path) -> PathBuf {
    run.join("records.jsonl")
}

/// Returns the file of the attacks.
#[must_use]
pub fn attacks(run: &Path) -> PathBuf {
    run.join("attack.jsonl")
}

/// Returns the file of the facts about the run.
#[must_use]
pub fn manifest(run: &Path) -> PathBuf {
    run.join("manifest.json")
}

/// Reads the text of the manifest.
///
/// # Errors
/// When it cannot be read.
pub fn manifest_text(run: &Path) -> Result<String> {
    let path = manifest(run);
    bounded::read_text(&path, MAX_MANIFEST_BYTES).with_context(|| not_a_run_folder(run, &path))
}

fn not_a_run_folder(run: &Path, manifest: &Path) -> String {
    format!(
        "{} is not a run folder: cannot read {}",
        run.display(),
        manifest.display()
    )
}

/// Reads the sweep of a run, and checks that its contents have its id.
///
/// # Errors
/// When the folder is not a run folder, or the manifest holds no such sweep.
pub fn sweep(run: &Path) -> Result<SweepMessage> {
    sweep_of(&manifest_text(run)?)
        .with_context(|| format!("cannot read {}", manifest(run).display()))
}

fn sweep_of(manifest: &str) -> Result<SweepMessage> {
    let ManifestSweep { sweep } = serde_json::from_str(manifest).context("not a manifest")?;
    Ok(SweepMessage::from_json(&sweep.to_string())?)
}

/// The part of a manifest that a worker needs.
#[derive(Deserialize)]
struct ManifestSweep {
    sweep: Value,
}
