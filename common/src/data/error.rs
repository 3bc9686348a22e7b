//! Why data cannot be read: the dataset as a whole, or one sample of it.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::{MAX_PIXELS, SampleIndex};

/// Why data cannot be read. Only [`DataError::Sample`] leaves the rest of the dataset usable.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A folder or file that the dataset rests on cannot be opened or read.
    #[error("cannot read {}: {cause}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A folder or file is not what its format says.
    #[error("{}: {what}", path.display())]
    Layout {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// One sample cannot be read; others can.
    #[error("sample {index}, {}: {fault}", path.display())]
    Sample {
        /// The sample.
        index: SampleIndex,
        /// The file it stands in.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
    /// There is no such sample.
    #[error("sample {index}, {}: there are only {len} samples", path.display())]
    PastTheEnd {
        /// The index asked for.
        index: SampleIndex,
        /// The dataset.
        path: PathBuf,
        /// How many samples it has.
        len: u64,
    },
}

impl DataError {
    /// Whether the system failed to read, which another machine or moment may not; otherwise the
    /// data itself is wrong.
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

/// What is wrong with one sample.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The system could not read the file.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The file ends before its image does.
    #[error("the file is cut short")]
    Truncated,
    /// The first bytes are of neither format, whatever the name says.
    #[error("neither a JPEG nor a PNG file")]
    UnknownFormat,
    /// The file breaks its format, or uses a corner of it that is not supported.
    #[error("damaged or unsupported: {0}")]
    Damaged(String),
    /// Reading or resizing the image would take unreasonable memory.
    #[error("{width} x {height} pixels are more than the {} allowed", MAX_PIXELS)]
    TooLarge {
        /// Pixels a row.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// A network takes images of one shape.
    #[error("the image has shape {found:?}, the first of the sweep {expected:?}")]
    Shape {
        /// Channels, height and width of this image.
        found: [usize; 3],
        /// Those of the images that the network takes.
        expected: [usize; 3],
    },
    /// A pixel that is no brightness.
    #[error("value {value} at position {position} of the image is not in [0, 1]")]
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
