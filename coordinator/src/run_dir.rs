//! The folder that a run leaves behind: `records.jsonl`, `manifest.json`, `report/`, and while it
//! runs `redis/` and `logs/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use ddrs_common::sweep_message::SweepMessage;
use ddrs_common::terminal::escape_json;
use ddrs_common::{bounded, replace};
use serde::{Deserialize, Serialize};

use ddrs_common::cli::{BadInput, BlameInput};

/// A run's folder.
#[derive(Debug, Clone)]
pub struct RunDir(PathBuf);

/// `manifest.json`: what was run, on what, with what, where and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this format.
    pub format: u32,
    /// The sweep with its specification as written and the digests of its data and models.
    pub sweep: SweepMessage,
    /// The version of ddrs that started the run.
    pub version: String,
    /// Every machine that took part, by its worker's name and device, as the records say.
    pub machines: Vec<String>,
    /// When the run was started first, in seconds since 1970.
    pub started: u64,
    /// When the last record came, in seconds since 1970.
    pub finished: Option<u64>,
    /// The sum of the samples' wall times, in seconds.
    pub sample_seconds: f64,
}

const FORMAT: u32 = 1;
/// The longest manifest: its largest parts are a specification, escaped, and the names of machines.
const MANIFEST_BYTES: u64 = 64 << 20;

impl RunDir {
    /// Names the folder; it need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the records are.
    #[must_use]
    pub fn records(&self) -> PathBuf {
        self.0.join("records.jsonl")
    }

    /// Where the reports are.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.0.join("report")
    }

    /// Where the private Redis keeps its files.
    #[must_use]
    pub fn redis(&self) -> PathBuf {
        self.0.join("redis")
    }

    /// Where local workers write their logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// Makes the folder this sweep's, or finds that it is.
    ///
    /// # Errors
    /// [`BadInput`] when it holds another sweep; otherwise what the file system says.
    pub fn claim(&self, message: &SweepMessage) -> Result<Manifest> {
        fs::create_dir_all(&self.0)
            .with_context(|| format!("cannot create {}", self.0.display()))
            .blame_input()?;
        if !self.manifest_path().exists() {
            let manifest = Manifest::new(message);
            self.write_manifest(&manifest)?;
            return Ok(manifest);
        }
        let mut manifest = self.manifest()?;
        if manifest.sweep.id != message.id {
            bail!(BadInput::new(format!(
                "{} holds sweep {} ({}); this is sweep {}: name another folder with --out",
                self.0.display(),
                manifest.sweep.id,
                manifest.sweep.spec_file,
                message.id
            )));
        }
        // Radii, leases and paths may have changed; they change no record.
        manifest.sweep = message.clone();
        self.write_manifest(&manifest)?;
        Ok(manifest)
    }

    /// Reads `manifest.json`.
    ///
    /// # Errors
    /// When there is none, or it is not one.
    pub fn manifest(&self) -> Result<Manifest> {
        let path = self.manifest_path();
        let text = bounded::read_text(&path, MANIFEST_BYTES).with_context(|| {
            format!(
                "{} is no run folder: cannot read {}",
                self.0.display(),
                path.display()
            )
        })?;
        let manifest: Manifest = serde_json::from_str(&text)
            .with_context(|| format!("cannot read {}", path.display()))?;
        if manifest.format != FORMAT {
            bail!(
                "{} has format {}, this program reads {FORMAT}",
                path.display(),
                manifest.format
            );
        }
        Ok(manifest)
    }

    /// Replaces `manifest.json`, all or nothing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        // Names of machines are in it.
        let text = escape_json(&serde_json::to_string_pretty(manifest)?) + "\n";
        let path = self.manifest_path();
        replace(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
    }

    fn manifest_path(&self) -> PathBuf {
        self.0.join("manifest.json")
    }
}

impl Manifest {
    fn new(message: &SweepMessage) -> Self {
        Self {
            format: FORMAT,
            sweep: message.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machines: Vec::new(),
            started: now(),
            finished: None,
            sample_seconds: 0.0,
        }
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |past| past.as_secs())
}
