//! Sweep and training specifications: TOML as written, the checked types, and the id of a sweep.
//!
//! [`parse`] is the only constructor of a [`Sweep`]: text becomes a located document, then plain
//! `Raw` structs, then the checked sweep. Nothing here opens the dataset or the models, except
//! [`file_digest`] and [`parse_with_models`], which completes a text by the metadata of the models'
//! files before it is parsed.

mod check;
mod digest;
mod document;
mod fill;
mod model;
mod raw;
mod selected;
mod sigma_file;
mod sweep;
mod training;

pub use digest::{digest_from_hex, digest_to_hex, file_digest, sweep_id, sweep_id_without_grid};
pub use fill::{parse_with_models, random_seed};
pub use model::{ModelSource, ModelSpec, Precision};
pub use selected::{LevelSpec, SelectedForm, SelectedSpec};
pub use sigma_file::SigmaFileSpec;
pub use sweep::{
    BoundRule, CertifySpec, DataDependentSpec, DatasetFormat, DatasetSpec, Interpolation,
    MAX_JOB_SAMPLES, PixelLayout, QueueSpec, ReportSpec, ResizeTo, SigmaMethod, SmoothingSpec,
    Stopping, Sweep, Variant,
};
pub use training::{
    Augmentation, LevelRecords, Loss, Optimiser, Schedule, TrainedModel, Training, TrainingChoice,
    TrainingSigma,
};

use std::path::Path;

/// The longest specification, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// A mistake in a specification, and its place: `sweep.toml:12: certify.alpha: must be ...`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {}{message}", prefix(.key))]
pub struct SpecError {
    /// The file, as the caller named it.
    pub file: String,
    /// The line, from 1: that of the key, or of its table if the key is missing.
    pub line: usize,
    /// The whole dotted key, such as `model[0].classes`. It is empty if the text is not TOML and no
    /// key is near.
    pub key: String,
    /// The rule that is broken.
    pub message: String,
}

fn prefix(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("{key}: ")
    }
}

/// Reads the text of a specification, for a sweep or for training.
///
/// # Errors
/// When the file cannot be read, or is longer than any specification.
pub fn read(path: &Path) -> std::io::Result<String> {
    crate::bounded::read_text(path, MAX_TEXT as u64)
}

/// Parses and checks a specification. Relative paths are resolved against the folder of `file`; no
/// file is opened.
///
/// # Errors
/// The first mistake, with its line and key.
pub fn parse(text: &str, file: &Path) -> Result<Sweep, SpecError> {
    check_length(text, file)?;
    let document = document::Document::parse(text, file)?;
    document.tables(raw::TABLES)?;
    let raw = document.read()?;
    check::sweep(&document, raw, file.parent().unwrap_or(Path::new("")))
}

fn check_length(text: &str, file: &Path) -> Result<(), SpecError> {
    let found = text.len();
    if found <= MAX_TEXT {
        return Ok(());
    }
    Err(SpecError {
        file: file.display().to_string(),
        line: 1,
        key: String::new(),
        message: format!("a specification has at most {MAX_TEXT} bytes, not {found}"),
    })
}

/// An error about `key`, the whole dotted key, with its line: for a mistake that only the data or a
/// model reveals in a specification that [`parse`] accepts.
#[must_use]
pub fn error_at(text: &str, file: &Path, key: &str, message: impl Into<String>) -> SpecError {
    let message = message.into();
    match document::Document::parse(text, file) {
        Ok(document) => document.error(key, message),
        Err(error) => SpecError {
            key: key.to_owned(),
            message,
            ..error
        },
    }
}

#[cfg(test)]
mod tests;
