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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use ddrs_common::grid::{DataFacts, Grid, ImageFacts};

    use super::*;

    const SPEC: &str = "name = 's'\nseed = 1\n[dataset]\nformat = 'cifar10'\npath = 'd'\n\
                        [[model]]\nname = 'm'\npath = 'm.pt'\nclasses = 10\n\
                        [smoothing]\nsigma = [0.5]\n\
                        [certify]\nn0 = 10\nn = 100\nalpha = 0.01\n";

    #[test]
    fn a_manifest_whose_sweep_was_edited_is_refused() {
        let data = DataFacts {
            len: 7,
            digest: [1; 32],
            images: ImageFacts {
                shape: [3, 32, 32],
                grid: Grid::BYTES,
            },
        };
        let message = SweepMessage::new(Path::new("/s.toml"), SPEC, &data, &[[2; 32]]).unwrap();
        let manifest = Manifest::new(&message);
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(Manifest::parse(&text).unwrap(), manifest);
        for (from, to) in [
            ("alpha = 0.01", "alpha = 0.02"),
            ("\"grid\":255", "\"grid\":256"),
            ("\"protocol\":3", "\"protocol\":2"),
        ] {
            assert_eq!(text.matches(from).count(), 1, "{from}");
            let refused = Manifest::parse(&text.replace(from, to)).unwrap_err();
            let reason = format!("sweep {} does not hold what its id says", message.id);
            assert!(refused.to_string().starts_with(&reason), "{refused}");
        }
    }
}
