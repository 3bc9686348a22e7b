//! Checks that a TorchScript file is complete and undamaged, before libtorch parses it.
//!
//! The file is a ZIP archive. libtorch is built without checksum verification, so a flipped bit
//! would silently become another weight or another program. Its parsers were not written for
//! untrusted files. This module reads every member against its checksum and limits the size that
//! members unpack to.

use std::io::{Cursor, Read, copy, sink};

use anyhow::{Context, Result, ensure};
use zip::read::ZipFile;
use zip::{CompressionMethod, ZipArchive};

/// The largest size that all compressed members, which are source text and positions in it, may
/// unpack to.
const MAX_UNPACKED: u64 = 256 << 20;

/// Reads every member to its end. The unpacked content is not kept in memory.
///
/// # Errors
/// When the file is not an archive, is cut short or unpacks to too much, or a member does not match
/// its checksum.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    check_within(bytes, MAX_UNPACKED)
}

/// Does the same as [`check`] with the given limit.
pub(super) fn check_within(bytes: &[u8], max_unpacked: u64) -> Result<()> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).context("not a complete archive")?;
    ensure!(!archive.is_empty(), "an archive without members");
    let mut left = max_unpacked;
    for number in 0..archive.len() {
        let member = open_member(&mut archive, number)?;
        left -= check_member(member, left, bytes.len())?;
    }
    Ok(())
}

fn open_member<'a>(
    archive: &'a mut ZipArchive<Cursor<&[u8]>>,
    number: usize,
) -> Result<ZipFile<'a>> {
    archive
        .by_index(number)
        .with_context(|| format!("member {number} is damaged"))
}

/// Checks one member, which may unpack to at most `left` bytes. Returns the number of bytes that it
/// uses of these: 0 for a stored member, which is part of the file, so the file's size limits it.
fn check_member(member: ZipFile<'_>, left: u64, file_size: usize) -> Result<u64> {
    if member.compression() == CompressionMethod::Stored {
        read_member(member, file_size as u64).map(|_| 0)
    } else {
        read_member(member, left)
    }
}

/// Reads a member to its end and returns its size, which is at most `limit`.
fn read_member(member: ZipFile<'_>, limit: u64) -> Result<u64> {
    let name = member.name().to_owned();
    let size = member.size();
    ensure!(
        size <= limit,
        "its member {name:?} would unpack to {size} bytes"
    );
    let read = copy(&mut member.take(limit + 1), &mut sink())
        .with_context(|| format!("its member {name:?} is damaged"))?;
    ensure!(
        read == size,
        "its member {name:?} holds {read} bytes, not {size}"
    );
    Ok(size)
}
