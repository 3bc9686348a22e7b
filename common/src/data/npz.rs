//! NumPy's files: a `.npz` archive of arrays, or a `.npy` array of images with a second file of
//! labels. The content tells which, not the name.
//!
//! Arrays that are stored are read in place, image by image. Compressed ones are unpacked into
//! memory.

use std::io::{self, BufReader, Read};
use std::path::Path;

use zip::read::ZipFile;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::DataError;
use super::array_names::find_pair;
use super::array_set::ArraySet;
use super::bytes::{ByteRange, RangeReader};
use super::files::SharedFile;
use super::npy::{MAGIC, read_array};
use crate::roots::Roots;
use crate::spec::DatasetSpec;

/// The largest array that is unpacked into memory.
const MAX_UNPACKED: u64 = 8 << 30;

/// The most members that an archive may have.
const MAX_MEMBERS: usize = 10_000;

/// Opens a dataset of NumPy's arrays.
pub(super) fn open(spec: &DatasetSpec, roots: &Roots) -> Result<ArraySet, DataError> {
    let bytes = ByteRange::of_file(SharedFile::open(&spec.path, roots)?);
    if bytes.starts_with(MAGIC) {
        open_npy(spec, &bytes, roots)
    } else {
        open_npz(spec, &bytes)
    }
}

fn open_npy(spec: &DatasetSpec, images: &ByteRange, roots: &Roots) -> Result<ArraySet, DataError> {
    refuse_names(spec)?;
    let Some(file) = &spec.labels else {
        let what = "is one array; set dataset.labels to the .npy file of the labels";
        return Err(DataError::layout(&spec.path, what));
    };
    let labels = ByteRange::of_file(SharedFile::open(file, roots)?);
    let arrays = [
        read_array(&spec.path, "the array".to_owned(), images)?,
        read_array(file, "the array".to_owned(), &labels)?,
    ];
    ArraySet::new(spec, arrays, None, vec![images.clone(), labels])
}

fn refuse_names(spec: &DatasetSpec) -> Result<(), DataError> {
    if spec.names.is_none() && spec.split.is_none() {
        return Ok(());
    }
    let what = "is one array, so dataset.names and split have no meaning";
    Err(DataError::layout(&spec.path, what))
}

fn open_npz(spec: &DatasetSpec, bytes: &ByteRange) -> Result<ArraySet, DataError> {
    if spec.labels.is_some() {
        let what = "is not a .npy array; the labels of a .npz are in it, see dataset.names";
        return Err(DataError::layout(&spec.path, what));
    }
    let mut archive = NpzArchive::open(&spec.path, bytes)?;
    let pair = find_pair(
        &spec.path,
        spec.names.as_ref(),
        spec.split.as_deref(),
        &archive.names(),
    )?;
    let members = [
        archive.member(&pair.images, bytes)?,
        archive.member(&pair.labels, bytes)?,
    ];
    let [images, labels] = &members;
    let arrays = [
        read_array(&spec.path, format!("array {:?}", pair.images), images)?,
        read_array(&spec.path, format!("array {:?}", pair.labels), labels)?,
    ];
    let set = ArraySet::new(spec, arrays, None, members.into())?;
    let is_for_tests = pair.split.as_deref() == Some("test");
    Ok(set.for_tests(is_for_tests))
}

/// An open archive of `.npy` members.
pub(super) struct NpzArchive<'a> {
    path: &'a Path,
    zip: ZipArchive<BufReader<RangeReader>>,
}

impl<'a> NpzArchive<'a> {
    pub(super) fn open(path: &'a Path, bytes: &ByteRange) -> Result<Self, DataError> {
        let reader = BufReader::new(bytes.reader());
        let zip = ZipArchive::new(reader).map_err(|error| not_npz(path, &error))?;
        if zip.len() > MAX_MEMBERS {
            let what = format!("has more than the {MAX_MEMBERS} members allowed");
            return Err(DataError::layout(path, what));
        }
        Ok(Self { path, zip })
    }

    /// The names of the arrays, without `.npy`.
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.zip.file_names();
        let arrays = names.filter_map(|name| name.strip_suffix(".npy"));
        let mut arrays: Vec<String> = arrays.map(str::to_owned).collect();
        arrays.sort_unstable();
        arrays
    }

    /// The bytes of a member: in the file if it is stored, or unpacked into memory. Both are
    /// checked against the checksum.
    pub(super) fn member(&mut self, name: &str, file: &ByteRange) -> Result<ByteRange, DataError> {
        let path = self.path;
        let member = self.zip.by_name(&format!("{name}.npy"));
        let member = member.map_err(|error| damaged(path, name, &error.to_string()))?;
        let is_stored = member.compression() == CompressionMethod::Stored;
        let range = file.part(member.data_start(), member.compressed_size());
        let unpacked = if is_stored {
            check_stored(member).map(|()| range)
        } else {
            unpack(member).map(|bytes| Some(ByteRange::of_memory(bytes)))
        };
        let unpacked = unpacked.map_err(|error| damaged(path, name, &error.to_string()))?;
        unpacked.ok_or_else(|| damaged(path, name, "it is cut short"))
    }
}

/// Reads a stored member once, to compare it with its checksum.
fn check_stored(mut member: ZipFile) -> io::Result<()> {
    io::copy(&mut member, &mut io::sink()).map(drop)
}

fn unpack(member: ZipFile) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    member.take(MAX_UNPACKED + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 <= MAX_UNPACKED {
        return Ok(bytes);
    }
    let what = format!(
        "it unpacks to more than {} GiB; save it with numpy.savez instead of savez_compressed",
        MAX_UNPACKED >> 30
    );
    Err(io::Error::new(io::ErrorKind::FileTooLarge, what))
}

fn not_npz(path: &Path, error: &ZipError) -> DataError {
    let what = format!("is neither a .npy array nor a .npz archive: {error}");
    DataError::layout(path, what)
}

fn damaged(path: &Path, name: &str, error: &str) -> DataError {
    DataError::layout(path, format!("array {name:?} cannot be read: {error}"))
}

#[cfg(test)]
#[path = "tests/npz.rs"]
mod tests;
