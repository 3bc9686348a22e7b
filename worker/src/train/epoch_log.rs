//! The log of a training, `NAME.log.jsonl`: one JSON object per epoch.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The entry of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EpochEntry {
    /// From 0.
    pub(super) epoch: u64,
    /// The mean over the inputs of the epoch.
    pub(super) loss: f64,
    /// Under noise, on the training inputs as they were used.
    pub(super) accuracy: f64,
    /// Under noise of the initial sigma, on the validation samples.
    pub(super) validation_accuracy: f64,
    /// The learning rate of the last step.
    pub(super) learning_rate: f64,
    /// Inputs per second; the draws of an input count once.
    pub(super) images_per_second: f64,
    /// The duration of the epoch.
    pub(super) seconds: f64,
    /// The sigmas of the training inputs.
    pub(super) sigma: SigmaDistribution,
}

/// Quantiles and the mean of sigmas. The names of the fields are part of the file format.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct SigmaDistribution {
    /// The minimum.
    pub(super) least: f64,
    /// The 10th percentile.
    pub(super) tenth: f64,
    /// The 50th percentile.
    pub(super) median: f64,
    /// The 90th percentile.
    pub(super) ninetieth: f64,
    /// The maximum.
    pub(super) largest: f64,
    /// The mean.
    pub(super) mean: f64,
}

impl SigmaDistribution {
    /// Summarises at least one value; all must be finite.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Self {
        let values = sorted(values);
        Self {
            least: quantile(&values, 0.0),
            tenth: quantile(&values, 0.1),
            median: quantile(&values, 0.5),
            ninetieth: quantile(&values, 0.9),
            largest: quantile(&values, 1.0),
            mean: values.iter().sum::<f64>() / values.len() as f64,
        }
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let place = (part * last as f64).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// The path of the log of `NAME.safetensors`.
pub(super) fn path_for(out: &Path) -> PathBuf {
    out.with_extension("log.jsonl")
}

/// Checks that [`append`] can continue the file, if it exists.
///
/// # Errors
/// When the file cannot be read or is not a training log. The error says what to do.
pub(super) fn check(path: &Path) -> Result<()> {
    read(path)
        .map(drop)
        .context("not a training log; delete it or choose another --out")
}

/// Returns the lines of the file, each with its entry.
fn read(path: &Path) -> Result<Vec<(String, EpochEntry)>> {
    let text = read_if_exists(path)?;
    (1..)
        .zip(text.lines())
        .map(|(number, line)| Ok((line.to_owned(), parse(path, number, line)?)))
        .collect()
}

fn read_if_exists(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        text => text.with_context(|| format!("cannot read {}", path.display())),
    }
}

fn parse(path: &Path, number: usize, line: &str) -> Result<EpochEntry> {
    serde_json::from_str(line).with_context(|| format!("{}:{number}", path.display()))
}

/// Writes the entry of an epoch after those of earlier epochs. Entries of the same or later epochs,
/// which a killed run may have left, are dropped.
///
/// # Errors
/// When the file cannot be read or written, or is not a training log.
pub(super) fn append(path: &Path, entry: &EpochEntry) -> Result<()> {
    let mut lines = lines_before(path, entry.epoch)?;
    lines.push(serde_json::to_string(entry)?);
    let text = lines.join("\n") + "\n";
    ddrs_common::replace(path, text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Returns the lines of the epochs before `epoch`.
fn lines_before(path: &Path, epoch: u64) -> Result<Vec<String>> {
    let lines = read(path)?.into_iter();
    let earlier = lines.filter(|(_, entry)| entry.epoch < epoch);
    Ok(earlier.map(|(line, _)| line).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entry(epoch: u64, loss: f64) -> EpochEntry {
        EpochEntry {
            epoch,
            loss,
            accuracy: 0.5,
            validation_accuracy: 0.5,
            learning_rate: 0.1,
            images_per_second: 1.0,
            seconds: 1.0,
            sigma: SigmaDistribution::of([0.25].into_iter()),
        }
    }

    #[test]
    fn an_epoch_that_is_done_again_takes_the_place_of_what_was_written_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_for(&folder.path().join("model.safetensors"));
        for entry in [entry(0, 3.0), entry(1, 2.0), entry(2, 1.0), entry(1, 1.5)] {
            append(&path, &entry).unwrap();
        }
        let text = fs::read_to_string(folder.path().join("model.log.jsonl")).unwrap();
        let losses: Vec<f64> = text
            .lines()
            .map(|line| serde_json::from_str::<EpochEntry>(line).unwrap().loss)
            .collect();
        assert_eq!(losses, [3.0, 1.5]);
    }

    #[test]
    fn a_distribution_is_summarised_by_its_quantiles() {
        let sigma = SigmaDistribution::of((0..=100).rev().map(f64::from));
        let expected = SigmaDistribution {
            least: 0.0,
            tenth: 10.0,
            median: 50.0,
            ninetieth: 90.0,
            largest: 100.0,
            mean: 50.0,
        };
        assert_eq!(sigma, expected);
    }
}
