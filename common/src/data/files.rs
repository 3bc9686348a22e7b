//! Reads files that several threads share. Each read names its offset, so that threads share no
//! position.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::DataError;
use crate::roots::Roots;

/// An open file and its length.
#[derive(Debug)]
pub(super) struct SharedFile {
    file: File,
    len: u64,
}

impl SharedFile {
    /// Opens a file under the roots.
    pub(super) fn open(path: &Path, roots: &Roots) -> Result<Self, DataError> {
        let file = roots.open(path).map_err(DataError::io(path))?;
        let len = file.metadata().map_err(DataError::io(path))?.len();
        Ok(Self { file, len })
    }

    /// The length in bytes when the file was opened.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Reads `count` bytes from `offset` on; fewer are an error.
    pub(super) fn read(&self, offset: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Reads into a buffer from `offset` on. Returns the number of bytes, 0 at the end.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}
