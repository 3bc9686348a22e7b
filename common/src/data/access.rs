//! What a sample's file is read through: the roots it must lie under, and how much of it is read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Fault;
use crate::roots::Roots;

/// More than the largest image that is decoded takes without compression.
pub(super) const MAX_FILE: u64 = 1 << 30;

/// Reads a file of which a fault is a sample's, not the dataset's.
pub(super) fn read_sample(roots: &Roots, path: &Path) -> Result<Vec<u8>, Fault> {
    roots
        .read(path, MAX_FILE)
        .map_err(|error| match error.kind() {
            // Neither passes: another machine or moment would find the same.
            io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidInput => {
                Fault::Damaged(error.to_string())
            }
            _ => Fault::Io(error),
        })
}

/// The folder that a link leads into.
pub(super) fn folder_behind(link: &Path) -> Option<PathBuf> {
    fs::canonicalize(link)
        .ok()
        .and_then(|target| target.parent().map(Path::to_owned))
}
