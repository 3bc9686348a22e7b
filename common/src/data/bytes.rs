//! A range of bytes: a part of an open file, or of what was unpacked into memory.

use std::borrow::Cow;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::files::SharedFile;

/// The number of bytes that are hashed at once.
const PIECE: u64 = 1 << 20;

/// A range of a source that several ranges share.
#[derive(Debug, Clone)]
pub(super) struct ByteRange {
    source: Arc<ByteSource>,
    start: u64,
    len: u64,
}

#[derive(Debug)]
enum ByteSource {
    File(SharedFile),
    Memory(Vec<u8>),
}

impl ByteRange {
    /// All bytes of a file.
    pub(super) fn of_file(file: SharedFile) -> Self {
        let len = file.len();
        Self::new(ByteSource::File(file), len)
    }

    /// Bytes in memory.
    pub(super) fn of_memory(bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Self::new(ByteSource::Memory(bytes), len)
    }

    fn new(source: ByteSource, len: u64) -> Self {
        Self {
            source: Arc::new(source),
            start: 0,
            len,
        }
    }

    /// Returns true if the first bytes are these.
    pub(super) fn starts_with(&self, magic: &[u8]) -> bool {
        let start = self.read(0, magic.len());
        start.is_ok_and(|start| *start == *magic)
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The part of `len` bytes from `start` on; `None` if the range has fewer.
    pub(super) fn part(&self, start: u64, len: u64) -> Option<Self> {
        (start.checked_add(len)? <= self.len).then(|| Self {
            source: Arc::clone(&self.source),
            start: self.start + start,
            len,
        })
    }

    /// The part from `start` on; `None` if the range ends before.
    pub(super) fn rest(&self, start: u64) -> Option<Self> {
        self.part(start, self.len.checked_sub(start)?)
    }

    /// Returns `count` bytes from `offset` on; fewer are an error.
    pub(super) fn read(&self, offset: u64, count: usize) -> io::Result<Cow<'_, [u8]>> {
        let part = self.part(offset, count as u64);
        let start = part.ok_or(io::ErrorKind::UnexpectedEof)?.start;
        match &*self.source {
            ByteSource::File(file) => file.read(start, count).map(Cow::Owned),
            // Within the range, which lies in memory.
            ByteSource::Memory(bytes) => Ok(Cow::Borrowed(&bytes[start as usize..][..count])),
        }
    }

    /// Adds all bytes to a digest.
    pub(super) fn hash_into(&self, sha: &mut Sha256) -> io::Result<()> {
        for offset in (0..self.len).step_by(PIECE as usize) {
            let count = PIECE.min(self.len - offset);
            sha.update(self.read(offset, count as usize)?);
        }
        Ok(())
    }
}

/// Reads a range from front to back.
#[derive(Debug)]
pub(super) struct RangeReader {
    range: ByteRange,
    position: u64,
}

impl ByteRange {
    pub(super) fn reader(&self) -> RangeReader {
        RangeReader {
            range: self.clone(),
            position: 0,
        }
    }
}

impl Read for RangeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.range.len.saturating_sub(self.position);
        let count = left.min(buffer.len() as u64) as usize;
        let bytes = self.range.read(self.position.min(self.range.len), count)?;
        buffer[..count].copy_from_slice(&bytes);
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for RangeReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(distance) => self.range.len.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_part_of_a_part_reads_its_own_bytes_and_no_others() {
        let whole = ByteRange::of_memory((0..10).collect());
        let part = whole.part(2, 6).unwrap().rest(1).unwrap();
        assert_eq!(
            (part.len(), &*part.read(1, 4).unwrap()),
            (5, &[4, 5, 6, 7][..])
        );
        assert!(part.read(1, 5).is_err() && part.part(1, 5).is_none());
        assert!(part.part(u64::MAX, 2).is_none() && part.rest(6).is_none());
    }

    #[test]
    fn a_digest_covers_the_range() {
        let bytes: Vec<u8> = (0..3 * PIECE as usize / 2).map(|i| i as u8).collect();
        let mut sha = Sha256::new();
        let range = ByteRange::of_memory(bytes.clone());
        range.rest(3).unwrap().hash_into(&mut sha).unwrap();
        assert_eq!(sha.finalize(), Sha256::digest(&bytes[3..]));
    }

    #[test]
    fn a_reader_starts_at_the_range_and_ends_with_it() {
        let mut reader = ByteRange::of_memory((0..9).collect())
            .part(2, 5)
            .unwrap()
            .reader();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [2, 3, 4, 5, 6]);
        assert_eq!(reader.seek(SeekFrom::End(-2)).unwrap(), 3);
        bytes.clear();
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [5, 6]);
        assert!(reader.seek(SeekFrom::Current(-9)).is_err());
        reader.seek(SeekFrom::Start(100)).unwrap();
        assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
    }
}
