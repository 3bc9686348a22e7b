//! CIFAR-10 and CIFAR-100 in the forms in which they are published: the binary files, the pickled
//! batches for Python, and a `.tar.gz` of either. The content tells the form, not the name.
//!
//! Rows are kept in the binary form: one label (CIFAR-100: the coarse and the fine label), then
//! 3 x 32 x 32 bytes, red plane first. So a dataset has the same digest in every form.

mod files;
mod pickled;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::bytes::ByteRange;
use super::{DataError, Fault, Image, MAX_SAMPLES};
use crate::domain::Class;
use crate::roots::Roots;
use crate::spec::DatasetSpec;
use files::CifarFile;

const SIDE: usize = 32;
const PIXELS: usize = 3 * SIDE * SIDE;

/// CIFAR-10 or CIFAR-100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CifarKind {
    Ten,
    Hundred,
}

impl CifarKind {
    fn name(self) -> &'static str {
        match self {
            Self::Ten => "CIFAR-10",
            Self::Hundred => "CIFAR-100",
        }
    }

    /// The number of classes.
    pub(super) fn classes(self) -> u32 {
        match self {
            Self::Ten => 10,
            Self::Hundred => 100,
        }
    }

    /// The number of labels before the pixels of a row. The last is that of the class.
    fn labels(self) -> usize {
        match self {
            Self::Ten => 1,
            Self::Hundred => 2,
        }
    }

    fn row(self) -> usize {
        self.labels() + PIXELS
    }

    fn other(self) -> Self {
        match self {
            Self::Ten => Self::Hundred,
            Self::Hundred => Self::Ten,
        }
    }
}

/// The rows of all batches, and their labels.
#[derive(Debug)]
pub(super) struct Cifar {
    kind: CifarKind,
    batches: Vec<CifarBatch>,
    labels: Vec<u8>,
}

#[derive(Debug)]
struct CifarBatch {
    path: PathBuf,
    rows: ByteRange,
    /// The number of rows in the batches before it.
    first: usize,
    is_for_tests: bool,
}

impl Cifar {
    /// Channels, height and width of every image.
    pub(super) const SHAPE: [usize; 3] = [3, SIDE, SIDE];

    /// Opens the files and reads their labels.
    pub(super) fn open(
        spec: &DatasetSpec,
        kind: CifarKind,
        roots: &Roots,
    ) -> Result<Self, DataError> {
        let mut cifar = Self {
            kind,
            batches: Vec::new(),
            labels: Vec::new(),
        };
        for file in files::list(spec, kind, roots)? {
            cifar.add_batch(file)?;
        }
        if cifar.labels.is_empty() {
            let what = format!("holds no row of {}", kind.name());
            return Err(DataError::layout(&spec.path, what));
        }
        if spec.split.is_none() {
            cifar.refuse_joined_splits(spec)?;
        }
        Ok(cifar)
    }

    /// Refuses to select training and test images together, unless that is asked for.
    fn refuse_joined_splits(&self, spec: &DatasetSpec) -> Result<(), DataError> {
        let selection = &spec.selection;
        let count = selection.count(self.len() as u64);
        let mut places = (0..count).map(|position| selection.index(position).0 as usize);
        let first = places.next().map(|place| self.is_for_tests(place));
        if places.all(|place| Some(self.is_for_tests(place)) == first) {
            return Ok(());
        }
        let what = "holds training and test images: set dataset.split to \"test\", \"train\" or \
                    \"all\", or name one file";
        Err(DataError::layout(&spec.path, what))
    }

    fn add_batch(&mut self, file: CifarFile) -> Result<(), DataError> {
        let first = self.labels.len();
        let is_for_tests = file.is_for_tests();
        let CifarFile { path, bytes, .. } = file;
        let labels = read_labels(&path, &bytes, self.kind)?;
        self.labels.extend(labels);
        self.batches.push(CifarBatch {
            path,
            rows: bytes,
            first,
            is_for_tests,
        });
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn classes(&self) -> u32 {
        self.kind.classes()
    }

    pub(super) fn label(&self, place: usize) -> Class {
        Class(self.labels[place].into())
    }

    pub(super) fn path(&self, place: usize) -> &Path {
        &self.batch(place).path
    }

    pub(super) fn is_for_tests(&self, place: usize) -> bool {
        self.batch(place).is_for_tests
    }

    pub(super) fn image(&self, place: usize) -> Result<Image, Fault> {
        let batch = self.batch(place);
        let offset = (place - batch.first) * self.kind.row() + self.kind.labels();
        let bytes = batch.rows.read(offset as u64, PIXELS)?;
        Ok(Image {
            shape: Self::SHAPE,
            pixels: bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect(),
        })
    }

    /// SHA-256 of the rows in the binary form, one batch after the other.
    pub(super) fn digest(&self) -> Result<[u8; 32], DataError> {
        let mut sha = Sha256::new();
        for batch in &self.batches {
            let hashed = batch.rows.hash_into(&mut sha);
            hashed.map_err(DataError::io(&batch.path))?;
        }
        Ok(sha.finalize().into())
    }

    fn batch(&self, place: usize) -> &CifarBatch {
        // The first batch starts at 0, so one always starts at or before the place.
        &self.batches[self.batches.partition_point(|batch| batch.first <= place) - 1]
    }
}

fn read_labels(path: &Path, rows: &ByteRange, kind: CifarKind) -> Result<Vec<u8>, DataError> {
    (0..count_rows(path, rows, kind)?)
        .map(|row| read_label(path, rows, kind, row))
        .collect()
}

fn count_rows(path: &Path, rows: &ByteRange, kind: CifarKind) -> Result<u64, DataError> {
    let rows = whole_rows(path, rows.len(), kind)?;
    if rows <= MAX_SAMPLES {
        return Ok(rows);
    }
    let what = format!("its {rows} rows are more than the {MAX_SAMPLES} allowed");
    Err(DataError::layout(path, what))
}

fn whole_rows(path: &Path, len: u64, kind: CifarKind) -> Result<u64, DataError> {
    let row = kind.row() as u64;
    if len.is_multiple_of(row) {
        return Ok(len / row);
    }
    let other = kind.other();
    let hint = if len.is_multiple_of(other.row() as u64) {
        format!("; it is one of {}, {}'s", other.row(), other.name())
    } else {
        String::new()
    };
    let what = format!("its length of {len} bytes is not a multiple of {row}{hint}");
    Err(DataError::layout(path, what))
}

fn read_label(path: &Path, rows: &ByteRange, kind: CifarKind, row: u64) -> Result<u8, DataError> {
    let last = kind.labels() - 1;
    let offset = row * kind.row() as u64 + last as u64;
    let label = rows.read(offset, 1).map_err(DataError::io(path))?[0];
    if u32::from(label) < kind.classes() {
        return Ok(label);
    }
    let what = format!(
        "row {row} has label {label}, {} has labels 0 to {}",
        kind.name(),
        kind.classes() - 1
    );
    Err(DataError::layout(path, what))
}

#[cfg(test)]
#[path = "tests/cifar.rs"]
mod tests;
