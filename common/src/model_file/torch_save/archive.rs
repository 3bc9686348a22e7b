//! Checkpoints in ZIP archives: `data.pkl` and one member per storage.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Cursor;

use zip::read::ZipFile;
use zip::{CompressionMethod, ZipArchive};

use super::member::read;
use super::storage::StoragePlace;
use super::{Indexed, OpenContainer, check_byte_order};

/// The largest pickle. Tensors are stored outside it.
const MAX_PICKLE: u64 = 256 << 20;

pub(super) fn open(bytes: &[u8]) -> Indexed<(Cow<'_, [u8]>, OpenContainer)> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let folder = folder(&archive)?;
    check_order(&mut archive, &folder)?;
    let pickle = read(&mut archive, &format!("{folder}data.pkl"), MAX_PICKLE)?;
    let open = OpenContainer {
        storages: storages(&mut archive, &format!("{folder}data/"))?,
        tensors: HashMap::new(),
    };
    Ok((Cow::Owned(pickle), open))
}

fn damaged(error: impl std::fmt::Display) -> String {
    format!("the archive is damaged: {error}")
}

/// The folder of the members, with the stroke at its end. Its name is that of the file when it was
/// saved.
fn folder(archive: &ZipArchive<Cursor<&[u8]>>) -> Indexed<String> {
    let pickles = archive
        .file_names()
        .filter_map(|name| name.strip_suffix("data.pkl"));
    let shortest = pickles.min_by_key(|name| name.len());
    shortest
        .map(str::to_owned)
        .ok_or_else(|| "data.pkl is missing".to_owned())
}

fn check_order(archive: &mut ZipArchive<Cursor<&[u8]>>, folder: &str) -> Indexed<()> {
    let name = format!("{folder}byteorder");
    if !archive.file_names().any(|member| member == name) {
        return Ok(());
    }
    check_byte_order(read(archive, &name, 64)? == b"little")
}

/// The storages by their keys, which are the members' names in their folder.
fn storages(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    folder: &str,
) -> Indexed<HashMap<String, StoragePlace>> {
    let mut storages = HashMap::new();
    for number in 0..archive.len() {
        let member = archive.by_index(number).map_err(damaged)?;
        if let Some(key) = member.name().strip_prefix(folder) {
            storages.insert(key.to_owned(), place(&member));
        }
    }
    Ok(storages)
}

fn place(member: &ZipFile) -> StoragePlace {
    if member.compression() != CompressionMethod::Stored {
        return StoragePlace::Compressed {
            member: member.name().to_owned(),
            length: member.size(),
        };
    }
    let start = member.data_start();
    StoragePlace::Bytes {
        range: start..start.saturating_add(member.size()),
        checksum: Some(member.crc32()),
    }
}
