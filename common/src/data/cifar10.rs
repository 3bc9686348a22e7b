//! The binary files of CIFAR-10: rows of a label byte and 3 x 32 x 32 bytes, red plane first.
//!
//! The path is one such file, or a folder whose `.bin` files are read in name order. The folder as
//! published contains the five training batches and the test batch, 60,000 rows: to certify the
//! test set, name `test_batch.bin`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::decode::Rgb;
use super::files::SharedFile;
use super::{DataError, Fault, MAX_SAMPLES};
use crate::domain::Class;
use crate::roots::Roots;

/// The number of classes.
pub(super) const CLASSES: u32 = 10;

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const ROW: usize = 1 + 3 * PLANE;

/// The open files and the labels of all rows.
#[derive(Debug)]
pub(super) struct Cifar10 {
    batches: Vec<CifarBatch>,
    labels: Vec<u8>,
}

#[derive(Debug)]
struct CifarBatch {
    file: SharedFile,
    /// The number of rows in the batches before it.
    first: usize,
}

impl Cifar10 {
    /// Opens the files and reads their labels.
    pub(super) fn open(path: &Path, roots: &Roots) -> Result<Self, DataError> {
        let mut cifar = Self {
            batches: Vec::new(),
            labels: Vec::new(),
        };
        for path in batch_paths(path)? {
            cifar.add_batch(SharedFile::open(&path, roots)?)?;
        }
        if cifar.labels.is_empty() {
            let what = "holds no .bin file with a row of CIFAR-10";
            return Err(DataError::layout(path, what));
        }
        Ok(cifar)
    }

    fn add_batch(&mut self, file: SharedFile) -> Result<(), DataError> {
        let first = self.labels.len();
        self.labels.extend(read_labels(&file)?);
        self.batches.push(CifarBatch { file, first });
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn label(&self, place: usize) -> Class {
        Class(self.labels[place].into())
    }

    pub(super) fn path(&self, place: usize) -> &Path {
        self.batch(place).file.path()
    }

    pub(super) fn image(&self, place: usize) -> Result<Rgb, Fault> {
        let batch = self.batch(place);
        let offset = (place - batch.first) * ROW + 1;
        let planes = batch.file.read(offset as u64, 3 * PLANE)?;
        Ok(Rgb {
            width: SIDE as u32,
            height: SIDE as u32,
            bytes: interleave(&planes),
        })
    }

    /// SHA-256 of the files' bytes, one after the other.
    pub(super) fn digest(&self) -> Result<[u8; 32], DataError> {
        let mut sha = Sha256::new();
        for batch in &self.batches {
            batch.file.hash_into(&mut sha)?;
        }
        Ok(sha.finalize().into())
    }

    fn batch(&self, place: usize) -> &CifarBatch {
        // The first batch starts at 0, so one always starts at or before the place.
        &self.batches[self.batches.partition_point(|batch| batch.first <= place) - 1]
    }
}

/// Converts three planes to pixels of three bytes.
fn interleave(planes: &[u8]) -> Vec<u8> {
    (0..PLANE)
        .flat_map(|at| [planes[at], planes[PLANE + at], planes[2 * PLANE + at]])
        .collect()
}

fn batch_paths(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    if !fs::metadata(path).map_err(DataError::io(path))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut paths = entries(path).map_err(DataError::io(path))?;
    paths.retain(|path| path.extension().is_some_and(|name| name == "bin"));
    paths.sort_unstable();
    Ok(paths)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect()
}

fn read_labels(file: &SharedFile) -> Result<Vec<u8>, DataError> {
    (0..count_rows(file)?)
        .map(|row| read_label(file, row))
        .collect()
}

fn count_rows(file: &SharedFile) -> Result<u64, DataError> {
    let rows = whole_rows(file)?;
    if rows <= MAX_SAMPLES {
        return Ok(rows);
    }
    let what = format!("its {rows} rows are more than the {MAX_SAMPLES} allowed");
    Err(DataError::layout(file.path(), what))
}

fn whole_rows(file: &SharedFile) -> Result<u64, DataError> {
    let len = file.len();
    if len.is_multiple_of(ROW as u64) {
        return Ok(len / ROW as u64);
    }
    let what = format!("its length of {len} bytes is not a multiple of {ROW}");
    Err(DataError::layout(file.path(), what))
}

fn read_label(file: &SharedFile, row: u64) -> Result<u8, DataError> {
    let path = file.path();
    let bytes = file.read(row * ROW as u64, 1);
    let label = bytes.map_err(DataError::io(path))?[0];
    if u32::from(label) < CLASSES {
        return Ok(label);
    }
    let what = format!("row {row} has label {label}, CIFAR-10 has labels 0 to 9");
    Err(DataError::layout(path, what))
}

#[cfg(test)]
#[path = "tests/cifar10.rs"]
mod tests;
