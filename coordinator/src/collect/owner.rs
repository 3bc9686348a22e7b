//! The name of a collector: its machine and folder.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ddrs_common::host;

/// Returns `host:folder` of a records file. The folder need not exist yet: the name is the same
/// before and after it is made.
pub(super) fn owner(records: &Path) -> Result<String> {
    let folder = records.parent().unwrap_or(records);
    let folder = resolved(folder).with_context(|| folder.display().to_string())?;
    Ok(format!("{}:{}", host::name(), folder.display()))
}

/// Resolves the links in a folder's path, as far as it exists.
fn resolved(folder: &Path) -> io::Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    let mut existing = folder.as_path();
    let mut missing: Vec<&OsStr> = Vec::new();
    loop {
        match (
            existing.canonicalize(),
            existing.parent(),
            existing.file_name(),
        ) {
            (Err(error), Some(parent), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
                missing.push(name);
                existing = parent;
            }
            (resolved, ..) => return Ok(joined(resolved?, &missing)),
        }
    }
}

/// Appends names, the last one first.
fn joined(folder: PathBuf, names: &[&OsStr]) -> PathBuf {
    let names = names.iter().rev();
    names.fold(folder, |path, name| path.join(name))
}
