//! A member of a ZIP archive.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::Indexed;

/// Reads a member, against its checksum.
pub(super) fn read(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    name: &str,
    most: u64,
) -> Indexed<Vec<u8>> {
    let in_member = |error: &dyn std::fmt::Display| format!("its member {name:?}: {error}");
    let member = archive.by_name(name).map_err(|error| in_member(&error))?;
    if member.size() > most {
        return Err(in_member(&format!("{} bytes are too many", member.size())));
    }
    let mut bytes = Vec::new();
    let mut limited = member.take(most + 1);
    limited
        .read_to_end(&mut bytes)
        .map_err(|error| in_member(&error))?;
    if bytes.len() as u64 > most {
        return Err(in_member(&"it is longer than it says"));
    }
    Ok(bytes)
}
