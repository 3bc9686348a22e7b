//! The bytes of a model file, in memory or on disk.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::roots::Roots;

#[derive(Debug)]
pub(super) enum FileContent<'a> {
    OnDisk(File, u64),
    InMemory(Cow<'a, [u8]>),
}

impl<'a> FileContent<'a> {
    pub(super) fn open(path: &Path, roots: &Roots) -> io::Result<FileContent<'static>> {
        let file = roots.open(path)?;
        let length = file.metadata()?.len();
        Ok(FileContent::OnDisk(file, length))
    }

    pub(super) fn borrowed(bytes: &'a [u8]) -> Self {
        Self::InMemory(Cow::Borrowed(bytes))
    }

    pub(super) fn owned(bytes: Vec<u8>) -> FileContent<'static> {
        FileContent::InMemory(Cow::Owned(bytes))
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::OnDisk(_, length) => *length,
            Self::InMemory(bytes) => bytes.len() as u64,
        }
    }

    /// The whole content; empty if it is on disk.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::OnDisk(..) => &[],
            Self::InMemory(bytes) => bytes,
        }
    }

    /// Reads these bytes, which must lie within the file.
    pub(super) fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        if range.start > range.end || range.end > self.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match self {
            Self::OnDisk(file, _) => {
                let mut bytes = vec![0; (range.end - range.start) as usize];
                file.read_exact_at(&mut bytes, range.start)?;
                Ok(bytes)
            }
            Self::InMemory(bytes) => Ok(bytes[range.start as usize..range.end as usize].to_vec()),
        }
    }
}
