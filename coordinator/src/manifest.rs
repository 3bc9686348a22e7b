//! `manifest.json`: the facts about a run besides its records.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use ddrs_common::domain::Record;
use ddrs_common::sweep_message::SweepMessage;
use serde::{Deserialize, Serialize};

/// The sweep of a run, the versions and machines that computed it, and its times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The version of this format.
    format: u32,
    /// The sweep with its specification as written and the digests of its data and models.
    pub sweep: SweepMessage,
    /// The version of ddrs that started the run.
    pub version: String,
    /// Every machine that computed a record, by its worker's name and device.
    pub machines: Vec<String>,
    /// The time of the first start, in seconds since 1970.
    pub started: u64,
    /// The time of the last record of a complete run, in seconds since 1970.
    pub finished: Option<u64>,
    /// The sum of the samples' wall times, in seconds.
    pub sample_seconds: f64,
}

const FORMAT: u32 = 1;

impl Manifest {
    /// Makes the manifest of a run that starts now.
    #[must_use]
    pub(crate) fn new(message: &SweepMessage) -> Self {
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

    /// Reads the text of a manifest.
    ///
    /// # Errors
    /// When the text is not JSON of this format, or the sweep in it does not have its id.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let manifest: Self = serde_json::from_str(text).context("not a manifest")?;
        ensure!(
            manifest.format == FORMAT,
            "it has format {}, but this program reads format {FORMAT}",
            manifest.format
        );
        manifest.sweep.check_id()?;
        Ok(manifest)
    }

    /// Returns the manifest with the machines and times of `records`.
    pub(crate) fn updated<'a>(
        &self,
        records: impl Iterator<Item = &'a Record> + Clone,
        is_complete: bool,
    ) -> Self {
        let mut updated = self.clone();
        updated.machines = machines(records.clone());
        let seconds: f64 = records.map(|record| record.seconds).sum();
        // JSON has no infinity.
        updated.sample_seconds = seconds.min(f64::MAX);
        if is_complete {
            updated.finished.get_or_insert_with(now);
        }
        updated
    }
}

fn machines<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<String> {
    let names: BTreeSet<String> = records
        .map(|record| format!("{} ({})", record.worker, record.device))
        .collect();
    names.into_iter().collect()
}

/// Returns the seconds since 1970.
#[must_use]
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |past| past.as_secs())
}
