//! `--root`: what a worker may open of what a specification in Redis names.

use std::path::PathBuf;

use anyhow::{Context, Result};
pub(crate) use ddrs_common::roots::Roots;

/// Resolves the roots as given; none means the current folder.
///
/// # Errors
/// When one does not exist; it is named.
pub(super) fn resolve(given: &[PathBuf]) -> Result<Roots> {
    let here = [PathBuf::from(".")];
    let given = if given.is_empty() { &here[..] } else { given };
    for root in given {
        std::fs::canonicalize(root).with_context(|| format!("--root {}", root.display()))?;
    }
    Roots::under(given).context("--root")
}
