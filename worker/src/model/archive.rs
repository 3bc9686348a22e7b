//! Whether a TorchScript file is whole, before libtorch sees it.
//!
//! The file is a ZIP archive. libtorch is built without the checks of its checksums, so a flipped
//! bit would become another weight or another program without a word; and its parsers were not
//! written for files from strangers. Here every member is read against its checksum, and none may
//! unpack to more than it reasonably holds.

use std::io::{Cursor, Read, copy, sink};

use anyhow::{Context, Result, ensure};
use zip::{CompressionMethod, ZipArchive};

/// What the compressed members, which are source text and positions in it, may unpack to together.
const MAX_UNPACKED: u64 = 256 << 20;

/// Reads every member to its end. Takes no memory for what they unpack to.
///
/// # Errors
/// When the file is no archive or cut short, a member does not have its checksum, or members unpack
/// to too much.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    check_within(bytes, MAX_UNPACKED)
}

/// The same with a limit of its own.
pub(super) fn check_within(bytes: &[u8], most_unpacked: u64) -> Result<()> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).context("not a whole archive")?;
    let mut left = most_unpacked;
    for number in 0..archive.len() {
        let member = archive
            .by_index(number)
            .with_context(|| format!("member {number} is damaged"))?;
        let name = member.name().to_owned();
        // Stored members are as long as they are; their bytes are in the file.
        let most = if member.compression() == CompressionMethod::Stored {
            bytes.len() as u64
        } else {
            left
        };
        ensure!(
            member.size() <= most,
            "its member {name:?} would unpack to {} bytes",
            member.size()
        );
        if member.compression() != CompressionMethod::Stored {
            left -= member.size();
        }
        let size = member.size();
        let read = copy(&mut member.take(most + 1), &mut sink());
        let read = read.with_context(|| format!("its member {name:?} is damaged"))?;
        ensure!(
            read == size,
            "its member {name:?} holds {read} bytes, not {size}"
        );
    }
    ensure!(!archive.is_empty(), "an archive without members");
    Ok(())
}
