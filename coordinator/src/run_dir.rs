//! The folder of a run: `records.jsonl`, `manifest.json`, `report/`, `attack.jsonl` after an
//! attack, and while the run is active `redis/` and `logs/`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ddrs_common::cli::{BadInput, BlameInput};
use ddrs_common::sweep_message::SweepMessage;
use ddrs_common::terminal::escape_json;
use ddrs_common::{replace, run_folder};

use crate::manifest::Manifest;

/// The folder of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunDir(PathBuf);

impl RunDir {
    /// Names the folder; it need not exist.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The file of the records.
    #[must_use]
    pub(crate) fn records(&self) -> PathBuf {
        run_folder::records(&self.0)
    }

    /// The file of the attacks on the records.
    #[must_use]
    pub(crate) fn attacks(&self) -> PathBuf {
        run_folder::attacks(&self.0)
    }

    /// The folder of the reports.
    #[must_use]
    pub(crate) fn report(&self) -> PathBuf {
        self.0.join("report")
    }

    /// The folder of the private Redis.
    #[must_use]
    pub(crate) fn redis(&self) -> PathBuf {
        self.0.join("redis")
    }

    /// The folder of the local workers' logs.
    #[must_use]
    pub(crate) fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// Creates the folder for this sweep, or checks that an existing one belongs to it, and writes
    /// its manifest.
    ///
    /// # Errors
    /// [`BadInput`] when the folder holds another sweep or cannot be created.
    pub(crate) fn claim(&self, message: &SweepMessage) -> Result<Manifest> {
        self.create().blame_input()?;
        let manifest = if self.manifest_path().exists() {
            self.manifest_of(message)?
        } else {
            Manifest::new(message)
        };
        self.write_manifest(&manifest)?;
        Ok(manifest)
    }

    fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.0).with_context(|| format!("cannot create {}", self.0.display()))
    }

    /// Reads `manifest.json`.
    ///
    /// # Errors
    /// When the file is missing or is not a manifest.
    pub(crate) fn manifest(&self) -> Result<Manifest> {
        let text = run_folder::manifest_text(&self.0)?;
        let path = self.manifest_path();
        Manifest::parse(&text).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The seed of the run that the folder holds, if there is one.
    pub(crate) fn seed(&self) -> Option<u64> {
        let sweep = self.manifest().ok()?.sweep.sweep().ok()?;
        Some(sweep.seed)
    }

    /// Replaces `manifest.json` in one step.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        // Names of machines come from workers and may hold control characters.
        let text = escape_json(&serde_json::to_string_pretty(manifest)?) + "\n";
        let path = self.manifest_path();
        replace(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The manifest of a folder that holds this sweep already. Radii, leases and paths may have
    /// changed since; they change no record.
    fn manifest_of(&self, message: &SweepMessage) -> Result<Manifest> {
        let mut manifest = self.manifest()?;
        if manifest.sweep.protocol != message.protocol {
            bail!(self.other_version());
        }
        if manifest.sweep.id != message.id {
            bail!(self.other_sweep(&manifest.sweep, message));
        }
        manifest.sweep = message.clone();
        Ok(manifest)
    }

    fn other_version(&self) -> BadInput {
        BadInput::new(format!(
            "{} was made by another version of ddrs, which draws other noise: `report` reads it, \
             but a run cannot continue it; choose another folder with --out",
            self.0.display()
        ))
    }

    fn other_sweep(&self, held: &SweepMessage, message: &SweepMessage) -> BadInput {
        BadInput::new(format!(
            "{} holds sweep {} ({}), but this is sweep {}: choose another folder with --out",
            self.0.display(),
            held.id,
            held.spec_file,
            message.id
        ))
    }

    fn manifest_path(&self) -> PathBuf {
        run_folder::manifest(&self.0)
    }
}
