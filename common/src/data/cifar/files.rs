//! Finds the files of CIFAR-10 and CIFAR-100, in a folder or in an archive.

use std::fs;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::Archive;

use super::{CifarKind, pickled};
use crate::data::DataError;
use crate::data::bytes::ByteRange;
use crate::data::files::SharedFile;
use crate::roots::Roots;
use crate::spec::DatasetSpec;

const GZIP: &[u8] = b"\x1f\x8b";

/// The most bytes that an archive may unpack to: several times the published ones.
const MAX_UNPACKED: u64 = 1 << 30;

/// The split that joins training and test images.
const ALL: &str = "all";

/// A file of rows.
#[derive(Debug)]
pub(super) struct CifarFile {
    /// The file, or the archive that holds it.
    pub(super) path: PathBuf,
    /// Its name without `.bin`.
    stem: String,
    pub(super) bytes: ByteRange,
}

impl CifarFile {
    fn new(path: &Path, name: &str, bytes: ByteRange) -> Self {
        Self {
            path: path.to_owned(),
            stem: name.strip_suffix(".bin").unwrap_or(name).to_owned(),
            bytes,
        }
    }

    pub(super) fn is_for_tests(&self) -> bool {
        self.split() == Some("test")
    }

    /// The split that the name tells.
    fn split(&self) -> Option<&'static str> {
        if self.stem.starts_with("test") {
            Some("test")
        } else {
            let is_training = self.stem.starts_with("data_batch") || self.stem.starts_with("train");
            is_training.then_some("train")
        }
    }
}

/// Lists the files of the chosen split, sorted by name.
///
/// # Errors
/// When the path holds no such file.
pub(super) fn list(
    spec: &DatasetSpec,
    kind: CifarKind,
    roots: &Roots,
) -> Result<Vec<CifarFile>, DataError> {
    let path = &spec.path;
    let mut files = if fs::metadata(path).map_err(DataError::io(path))?.is_dir() {
        in_folder(path, kind, roots)?
    } else {
        in_file(path, kind, roots)?
    };
    files.sort_by(|a, b| a.stem.cmp(&b.stem));
    check_distinct(path, &files)?;
    choose(spec, files)
}

fn choose(spec: &DatasetSpec, mut files: Vec<CifarFile>) -> Result<Vec<CifarFile>, DataError> {
    let refuse = |what: String| Err(DataError::layout(&spec.path, what));
    match spec.split.as_deref() {
        None | Some(ALL) => {}
        Some(split @ ("train" | "test")) => {
            files.retain(|file| file.split() == Some(split));
            if files.is_empty() {
                return refuse(format!("holds no file of split {split:?}"));
            }
        }
        Some(split) => {
            return refuse(format!(
                "has no split {split:?}, only \"train\", \"test\" and \"all\""
            ));
        }
    }
    Ok(files)
}

/// Refuses two files of the same rows, one binary and one pickled.
fn check_distinct(path: &Path, files: &[CifarFile]) -> Result<(), DataError> {
    let twice = files.windows(2).find(|pair| pair[0].stem == pair[1].stem);
    let Some([file, _]) = twice else {
        return Ok(());
    };
    let what = format!(
        "holds {} twice, in two forms: name one file, or move one",
        file.stem
    );
    Err(DataError::layout(path, what))
}

/// The folders of the published archives, which may lie in the folder that the path names.
fn published_folders(kind: CifarKind) -> [&'static str; 2] {
    match kind {
        CifarKind::Ten => ["cifar-10-batches-py", "cifar-10-batches-bin"],
        CifarKind::Hundred => ["cifar-100-python", "cifar-100-binary"],
    }
}

fn in_folder(path: &Path, kind: CifarKind, roots: &Roots) -> Result<Vec<CifarFile>, DataError> {
    let published = published_folders(kind).map(|name| path.join(name));
    let folders = published.into_iter().filter(|folder| folder.is_dir());
    for folder in std::iter::once(path.to_owned()).chain(folders) {
        let files = rows_in(&folder, kind, roots)?;
        if !files.is_empty() {
            return Ok(files);
        }
    }
    let what = format!(
        "holds no .bin file and no pickled batch with a row of {}",
        kind.name()
    );
    Err(DataError::layout(path, what))
}

fn rows_in(folder: &Path, kind: CifarKind, roots: &Roots) -> Result<Vec<CifarFile>, DataError> {
    let paths = entries(folder).map_err(DataError::io(folder))?;
    let mut files = Vec::new();
    for path in paths {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if path.extension().is_some_and(|end| end == "bin") || is_pickled_batch(name) {
            let bytes = ByteRange::of_file(SharedFile::open(&path, roots)?);
            files.push(CifarFile::new(&path, name, to_rows(&path, bytes, kind)?));
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect()
}

/// Returns true for the names of the published pickled batches.
fn is_pickled_batch(name: &str) -> bool {
    let is_numbered = name.strip_prefix("data_batch_").is_some_and(is_number);
    is_numbered || ["test_batch", "train", "test"].contains(&name)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn in_file(path: &Path, kind: CifarKind, roots: &Roots) -> Result<Vec<CifarFile>, DataError> {
    let bytes = ByteRange::of_file(SharedFile::open(path, roots)?);
    if bytes.starts_with(GZIP) {
        return in_archive(path, &bytes, kind);
    }
    let name = path.file_name().map(|name| name.to_string_lossy());
    let name = name.unwrap_or_default();
    Ok(vec![CifarFile::new(
        path,
        &name,
        to_rows(path, bytes, kind)?,
    )])
}

fn in_archive(
    path: &Path,
    packed: &ByteRange,
    kind: CifarKind,
) -> Result<Vec<CifarFile>, DataError> {
    let members = unpack(packed).map_err(|error| {
        DataError::layout(
            path,
            format!("cannot be unpacked as a .tar.gz archive: {error}"),
        )
    })?;
    let members = members.into_iter().map(|(name, bytes)| {
        let bytes = to_rows(path, ByteRange::of_memory(bytes), kind)?;
        Ok(CifarFile::new(path, &name, bytes))
    });
    members.collect()
}

/// Reads the files of rows in an archive. Their names select them, and never become paths.
fn unpack(packed: &ByteRange) -> io::Result<Vec<(String, Vec<u8>)>> {
    let unpacked = MultiGzDecoder::new(BufReader::new(packed.reader())).take(MAX_UNPACKED);
    let mut archive = Archive::new(unpacked);
    let mut members = Vec::new();
    for member in archive.entries()? {
        let mut member = member?;
        let path = member.path_bytes();
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        if member.header().entry_type().is_file() && is_member(&name) {
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes)?;
            check_complete(bytes.len() as u64, member.size())?;
            members.push((name, bytes));
        }
    }
    Ok(members)
}

fn is_member(name: &str) -> bool {
    is_pickled_batch(name.strip_suffix(".bin").unwrap_or(name))
}

fn check_complete(found: u64, described: u64) -> io::Result<()> {
    if found == described {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// The largest pickled batch that is read into memory: twice CIFAR-100's.
const MAX_PICKLE: u64 = 1 << 29;

/// Converts a file to rows in the binary form, if it is pickled.
fn to_rows(path: &Path, bytes: ByteRange, kind: CifarKind) -> Result<ByteRange, DataError> {
    if !bytes.starts_with(pickled::MAGIC) {
        return Ok(bytes);
    }
    if bytes.len() > MAX_PICKLE {
        let what = format!("is a pickle of more than the {MAX_PICKLE} bytes allowed");
        return Err(DataError::layout(path, what));
    }
    let pickle = bytes.read(0, bytes.len() as usize);
    let rows = pickled::rows(&pickle.map_err(DataError::io(path))?, kind);
    rows.map(ByteRange::of_memory)
        .map_err(|what| DataError::layout(path, what))
}
