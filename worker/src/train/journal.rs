//! `NAME.log.jsonl`: one object an epoch.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What an epoch came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// From 0.
    pub epoch: u64,
    /// Mean over the epoch's inputs.
    pub loss: f64,
    /// Under noise, on the training inputs as they went by.
    pub accuracy: f64,
    /// Under noise of the initial sigma, on the validation samples.
    pub validation_accuracy: f64,
    /// Of the last step.
    pub learning_rate: f64,
    /// Inputs, not draws.
    pub images_per_second: f64,
    /// Of the epoch.
    pub seconds: f64,
    /// How the training inputs' sigmas are distributed.
    pub sigma: Distribution,
}

/// Where sigmas lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// The least.
    pub least: f64,
    /// A tenth lie below.
    pub tenth: f64,
    /// Half lie below.
    pub median: f64,
    /// Nine tenths lie below.
    pub ninetieth: f64,
    /// The largest.
    pub largest: f64,
    /// The mean.
    pub mean: f64,
}

impl Distribution {
    /// Of at least one value, all finite.
    #[must_use]
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().saturating_sub(1);
        let at = |part: f64| {
            values
                .get((part * last as f64).round() as usize)
                .copied()
                .unwrap_or(f64::NAN)
        };
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Self {
            least: at(0.0),
            tenth: at(0.1),
            median: at(0.5),
            ninetieth: at(0.9),
            largest: at(1.0),
            mean,
        }
    }
}

/// `NAME.log.jsonl` beside `NAME.safetensors`.
#[must_use]
pub fn path_beside(out: &Path) -> PathBuf {
    out.with_extension("log.jsonl")
}

/// Whether [`append`] will be able to go on from what stands there, if anything does.
///
/// # Errors
/// When the file cannot be read, or holds something else; says what to do.
pub fn check(path: &Path) -> Result<()> {
    lines(path)
        .map(drop)
        .context("no log of training: delete it, or write to another --out")
}

/// The lines so far, as they stand, each with its meaning.
fn lines(path: &Path) -> Result<Vec<(String, Line)>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let line = |(number, line): (usize, &str)| {
        let read =
            serde_json::from_str(line).with_context(|| format!("{}:{number}", path.display()))?;
        Ok((line.to_owned(), read))
    };
    (1..).zip(text.lines()).map(line).collect()
}

/// Puts the line of an epoch where it belongs: after those of earlier epochs, in place of any of
/// its own and later ones, which a killed run may have left.
///
/// # Errors
/// When the file cannot be read or written, or holds something else.
pub fn append(path: &Path, line: &Line) -> Result<()> {
    let mut kept = String::new();
    for (old, read) in lines(path)? {
        if read.epoch < line.epoch {
            kept += &old;
            kept.push('\n');
        }
    }
    kept += &serde_json::to_string(line)?;
    kept.push('\n');
    ddrs_common::replace(path, kept.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn line(epoch: u64, loss: f64) -> Line {
        let sigma = Distribution::of([0.25].into_iter());
        let (accuracy, validation_accuracy, learning_rate) = (0.5, 0.5, 0.1);
        Line {
            epoch,
            loss,
            accuracy,
            validation_accuracy,
            learning_rate,
            images_per_second: 1.0,
            seconds: 1.0,
            sigma,
        }
    }

    #[test]
    fn an_epoch_that_is_done_again_takes_the_place_of_what_was_written_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_beside(&folder.path().join("model.safetensors"));
        for line in [line(0, 3.0), line(1, 2.0), line(2, 1.0), line(1, 1.5)] {
            append(&path, &line).unwrap();
        }
        let text = fs::read_to_string(folder.path().join("model.log.jsonl")).unwrap();
        let losses: Vec<f64> = text
            .lines()
            .map(|line| serde_json::from_str::<Line>(line).unwrap().loss)
            .collect();
        assert_eq!(losses, [3.0, 1.5]);
    }

    #[test]
    fn a_distribution_is_told_by_its_quantiles() {
        let sigma = Distribution::of((0..=100).rev().map(f64::from));
        let Distribution {
            least,
            tenth,
            median,
            ninetieth,
            largest,
            mean,
        } = sigma;
        assert_eq!(
            (least, tenth, median, ninetieth, largest, mean),
            (0.0, 10.0, 50.0, 90.0, 100.0, 50.0)
        );
    }
}
