//! The labels of a selector: the radius that each level certifies for each training image.
//!
//! They come from the records of a run with one fixed variant per level. A radius counts only where
//! the certified class is the true one.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use ddrs_common::domain::{Outcome, Record, SampleIndex, VariantName};
use ddrs_common::record_file;
use ddrs_common::spec::LevelRecords;
use serde_json::Value;
use tch::{TchError, Tensor};

use super::check_against_data::{KeyError, key_error};

/// Radii by image and level, divided by the mean of the best levels.
#[derive(Debug)]
pub(super) struct LevelRadii {
    values: Vec<f32>,
    levels: usize,
}

impl LevelRadii {
    /// Reads the radii of these samples from runs over the data with the digest `data`.
    ///
    /// # Errors
    /// [`KeyError`] when a run certified other data, or lacks a level or a sample.
    pub(super) fn read(
        levels: &[LevelRecords],
        indices: &[SampleIndex],
        data: &str,
    ) -> Result<Self, KeyError> {
        let levels = levels.iter();
        let columns: Vec<Vec<f64>> = levels
            .map(|level| column(level, indices, data))
            .collect::<Result<_, _>>()?;
        Self::of(&columns)
    }

    /// Arranges the radii by image.
    fn of(columns: &[Vec<f64>]) -> Result<Self, KeyError> {
        let images = columns.first().map_or(0, Vec::len);
        let rows = (0..images).map(|image| columns.iter().map(move |column| column[image]));
        let best: f64 = rows.clone().map(|row| row.fold(0.0, f64::max)).sum();
        if best <= 0.0 {
            let message = "no level certifies the true class of any training image".to_owned();
            return Err(key_error("loss.levels", message));
        }
        let scale = images as f64 / best;
        Ok(Self {
            values: rows
                .flatten()
                .map(|radius| (radius * scale) as f32)
                .collect(),
            levels: columns.len(),
        })
    }

    /// Returns the radii of these images, of shape (B, levels).
    pub(super) fn tensor(&self, places: &[usize]) -> Result<Tensor, TchError> {
        let rows = places.iter();
        let rows = rows.flat_map(|&place| &self.values[place * self.levels..][..self.levels]);
        let values: Vec<f32> = rows.copied().collect();
        Tensor::f_from_slice(&values)?.f_view([places.len() as i64, self.levels as i64])
    }

    /// Adds the radii to a digest.
    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.values.iter().flat_map(|value| value.to_le_bytes())
    }
}

/// Checks that a run certified the data with this digest.
fn check_data(run: &Path, data: &str) -> Result<(), KeyError> {
    let found = data_of(&run.join("manifest.json"));
    let found = found.map_err(|error| key_error("loss.levels", format!("{error:#}")))?;
    if found == data {
        return Ok(());
    }
    let run = run.display();
    let message = format!("{run} certified other data than dataset.path names");
    Err(key_error("loss.levels", message))
}

fn data_of(manifest: &Path) -> Result<String> {
    let text = ddrs_common::bounded::read_text(manifest, MAX_MANIFEST);
    let text = text.with_context(|| format!("cannot read {}", manifest.display()))?;
    let value: Value = serde_json::from_str(&text)
        .with_context(|| format!("{} is not a manifest", manifest.display()))?;
    let digest = value["sweep"]["data_digest"].as_str();
    let digest = digest.with_context(|| format!("{} names no data", manifest.display()))?;
    Ok(digest.to_owned())
}

/// The longest manifest that is read, in bytes.
const MAX_MANIFEST: u64 = 1 << 26;

/// The radii of one level in the order of the samples.
fn column(level: &LevelRecords, indices: &[SampleIndex], data: &str) -> Result<Vec<f64>, KeyError> {
    check_data(&level.run, data)?;
    let file = level.run.join("records.jsonl");
    let radii = radii_by_index(&file, &level.variant)?;
    let indices = indices.iter();
    indices
        .map(|&index| {
            let radius = radii.get(&index.0).copied();
            radius.ok_or_else(|| missing_sample(&file, &level.variant, index))
        })
        .collect()
}

fn radii_by_index(file: &Path, variant: &VariantName) -> Result<HashMap<u64, f64>, KeyError> {
    let records = record_file::read(file);
    let records = records.map_err(|error| key_error("loss.levels", error.to_string()))?;
    let of_variant = records.iter().filter(|record| record.variant == *variant);
    let radii: HashMap<u64, f64> = of_variant
        .map(|record| (record.index.0, correct_radius(record)))
        .collect();
    if radii.is_empty() {
        let message = format!("{} has no record of variant {variant}", file.display());
        return Err(key_error("loss.levels", message));
    }
    Ok(radii)
}

fn missing_sample(file: &Path, variant: &VariantName, index: SampleIndex) -> KeyError {
    let file = file.display();
    let message = format!(
        "{file} has no record of sample {index} in variant {variant}; certify every training \
         sample, or let [dataset] select those that are"
    );
    key_error("loss.levels", message)
}

/// The radius of a record if its class is the true one, else 0.
fn correct_radius(record: &Record) -> f64 {
    match record.result.as_ref().map(|result| result.outcome) {
        Ok(Outcome::Certified { class, radius }) if class == record.label => radius.get(),
        _ => 0.0,
    }
}
