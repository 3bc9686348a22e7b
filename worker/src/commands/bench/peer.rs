//! The PyTorch loops that users run instead, timed by the project's own script.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::exit::Refused;

/// The script, carried along so that a worker alone can measure.
const SCRIPT: &str = include_str!("../../../../bench/peer.py");

/// Whether a python can be started and imports torch.
fn has_torch(python: &Path) -> bool {
    let imported = Command::new(python).args(["-c", "import torch"]).output();
    imported.is_ok_and(|output| output.status.success())
}

/// The python that was named, which must have torch, or the one on the path if it happens to.
pub(super) fn python(named: Option<&Path>) -> Result<Option<PathBuf>> {
    if let Some(python) = named {
        ensure!(has_torch(python), Refused(anyhow::anyhow!("{} cannot import torch", python.display())));
        return Ok(Some(python.to_owned()));
    }
    Ok(Some(PathBuf::from("python3")).filter(|python| has_torch(python)))
}

/// Passes per second of one loop that runs for some seconds; for `sigma`, gradient draws per second.
///
/// # Errors
/// When the script fails or prints something else; says what it wrote to stderr last.
pub(super) fn rate(python: &Path, mode: &str, model: &str, device: &str, batch: u64, seconds: f64) -> Result<f64> {
    let (batch, seconds) = (batch.to_string(), seconds.to_string());
    let args = ["--mode", mode, "--model", model, "--device", device, "--batch", &batch, "--seconds", &seconds];
    let output = Command::new(python)
        .args(["-c", SCRIPT])
        .args(args)
        .output()
        .with_context(|| format!("{} cannot be started", python.display()))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the {mode} loop failed: {}", stderr.lines().last().unwrap_or("no reason given"));
    let row: Value = serde_json::from_slice(&output.stdout).with_context(|| format!("what the {mode} loop printed"))?;
    row["passes_per_second"].as_f64().with_context(|| format!("the {mode} loop printed no rate"))
}
