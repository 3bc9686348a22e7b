//! A sweep specification: TOML as written, and the checked [`Sweep`].

mod sweep;

pub use sweep::{
    CertifySpec, DataDependentSpec, DatasetFormat, DatasetSpec, ModelSource, ModelSpec, Precision, QueueSpec,
    ReportSpec, SmoothingSpec, Sweep, Variant,
};

use std::path::Path;

/// What is wrong with a specification, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {message}")]
pub struct SpecError {
    /// The file.
    pub file: String,
    /// What is wrong.
    pub message: String,
}

/// Parses and checks a specification. Relative paths are resolved against the folder of `file`, which is not opened.
pub fn parse(_text: &str, _file: &Path) -> Result<Sweep, SpecError> {
    unimplemented!()
}
