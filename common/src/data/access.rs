//! Reads the files of samples, within the roots and up to a limit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Fault;
use crate::roots::Roots;

/// The largest file of a sample. It is larger than the largest image without compression.
pub(super) const MAX_FILE: u64 = 1 << 30;

/// Reads the file of one sample. A failure fails the sample, not the dataset.
pub(super) fn read_sample(roots: &Roots, path: &Path) -> Result<Vec<u8>, Fault> {
    roots.read(path, MAX_FILE).map_err(|error| {
        if is_permanent(&error) {
            Fault::Damaged(error.to_string())
        } else {
            Fault::Io(error)
        }
    })
}

/// Returns true if another machine or a later try would find the same.
fn is_permanent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidInput
    )
}

/// The folder that contains the target of a link.
pub(super) fn folder_behind(link: &Path) -> Option<PathBuf> {
    fs::canonicalize(link)
        .ok()
        .and_then(|target| target.parent().map(Path::to_owned))
}
