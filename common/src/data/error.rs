//! Errors of data: of the dataset as a whole, or of one sample.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::{MAX_PIXELS, SampleIndex};

/// The reason why data cannot be read. Only [`DataError::Sample`] leaves the rest of the dataset
/// usable.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A folder or file of the dataset cannot be opened or read.
    #[error("cannot read {}: {cause}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// A folder or file is not laid out as its format says.
    #[error("{}: {what}", path.display())]
    Layout {
        /// The folder or file.
        path: PathBuf,
        /// The problem.
        what: String,
    },
    /// One sample cannot be read; others can.
    #[error("sample {index}, {}: {fault}", path.display())]
    Sample {
        /// The sample.
        index: SampleIndex,
        /// The file that contains it.
        path: PathBuf,
        /// The problem.
        fault: Fault,
    },
    /// The index is too large.
    #[error("sample {index}, {}: there are only {len} samples", path.display())]
    PastTheEnd {
        /// The index requested.
        index: SampleIndex,
        /// The dataset.
        path: PathBuf,
        /// The number of samples.
        len: u64,
    },
}

impl DataError {
    /// Returns true if the system failed to read: a later try or another machine may succeed.
    /// Otherwise the data is wrong.
    #[must_use]
    pub fn is_io(&self) -> bool {
        matches!(
            self,
            Self::Io { .. }
                | Self::Sample {
                    fault: Fault::Io(_),
                    ..
                }
        )
    }
}

/// A problem of one sample.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The system could not read the file.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The file ends before the end of its image.
    #[error("the file is cut short")]
    Truncated,
    /// The first bytes belong to no format that is read.
    #[error("not a JPEG, PNG, WebP, BMP, PPM, PGM or TIFF file")]
    UnknownFormat,
    /// The file violates its format, or uses a part of it that is not supported.
    #[error("damaged or unsupported: {0}")]
    Damaged(String),
    /// Reading or resizing the image would take unreasonable memory.
    #[error("{width} x {height} pixels are more than the {} allowed", MAX_PIXELS)]
    TooLarge {
        /// Pixels per row.
        width: u64,
        /// The number of rows.
        height: u64,
    },
    /// The image has another shape than the network takes.
    #[error(
        "the image has shape {found:?}, the first of the sweep {expected:?}; \
         `resize` and `crop` give all images one size"
    )]
    Shape {
        /// Channels, height and width of this image.
        found: [usize; 3],
        /// Channels, height and width that the network takes.
        expected: [usize; 3],
    },
    /// A pixel is not a brightness.
    #[error(
        "value {value} at position {position} of the image is not in [0, 1]; divide 0 to 255 by \
         255, or store bytes, and undo a normalisation"
    )]
    Pixel {
        /// Counted in the order channel, row, column.
        position: usize,
        /// The value.
        value: f32,
    },
}

impl DataError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io {
            path: path.to_owned(),
            cause,
        }
    }

    pub(super) fn layout(path: &Path, what: impl Into<String>) -> Self {
        Self::Layout {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}
