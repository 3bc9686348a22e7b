//! The idx files of MNIST, and of datasets in the same form, as they are or packed with gzip.
//!
//! The path is the file of the images, or a folder with the files of one split or of several. The
//! file of the labels has the same name, with `labels-idx1` for `images-idx3`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::DataError;
use super::array::{Array, ArrayParts, ByteOrder, ElementType};
use super::array_set::ArraySet;
use super::bytes::ByteRange;
use super::files::SharedFile;
use crate::roots::Roots;
use crate::spec::{DatasetSpec, PixelLayout};

const GZIP: &[u8] = b"\x1f\x8b";

/// The largest file that is unpacked into memory.
const MAX_UNPACKED: u64 = 4 << 30;

/// The folders under the path that torchvision puts the files in.
const FOLDERS: [&str; 4] = ["", "raw", "MNIST/raw", "FashionMNIST/raw"];

/// Opens a dataset of idx files.
pub(super) fn open(spec: &DatasetSpec, roots: &Roots) -> Result<ArraySet, DataError> {
    let images_file = images_file(spec)?;
    let labels_file = match &spec.labels {
        Some(file) => file.clone(),
        None => labels_next_to(&images_file)?,
    };
    let images = read_bytes(&images_file, roots)?;
    let labels = read_bytes(&labels_file, roots)?;
    let arrays = [
        read_array(&images_file, "the array of images", &images)?,
        read_array(&labels_file, "the array of labels", &labels)?,
    ];
    let usual = Some(PixelLayout::ChannelsFirst);
    let set = ArraySet::new(spec, arrays, usual, vec![images, labels])?;
    Ok(set.for_tests(split_of(&images_file) == Some("test")))
}

/// Finds the file of the images.
fn images_file(spec: &DatasetSpec) -> Result<PathBuf, DataError> {
    let path = &spec.path;
    if !fs::metadata(path).map_err(DataError::io(path))?.is_dir() {
        return Ok(path.clone());
    }
    for folder in FOLDERS {
        let folder = path.join(folder);
        if !folder.is_dir() {
            continue;
        }
        let mut files = images_in(&folder)?;
        if let Some(split) = &spec.split {
            files.retain(|file| split_of(file) == Some(split));
        }
        if !files.is_empty() {
            return only_file(path, files);
        }
    }
    let split = spec.split.as_ref();
    let split = split.map_or(String::new(), |split| format!(" of split {split:?}"));
    let what = format!("holds no file of images{split}, such as t10k-images-idx3-ubyte.gz");
    Err(DataError::layout(path, what))
}

fn only_file(path: &Path, files: Vec<PathBuf>) -> Result<PathBuf, DataError> {
    <[PathBuf; 1]>::try_from(files)
        .map(|[file]| file)
        .map_err(|files| {
            let names: Vec<_> = files.iter().filter_map(|file| file.file_name()).collect();
            let what = format!(
                "holds several files of images, {names:?}: set dataset.split to \"test\" or \
                 \"train\", or name one file"
            );
            DataError::layout(path, what)
        })
}

/// The files of images in a folder, sorted by name. Of a file that is there packed and unpacked,
/// the unpacked one is taken.
fn images_in(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(DataError::io(folder))? {
        let path = entry.map_err(DataError::io(folder))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let plain = name.strip_suffix(".gz");
        if labels_name(name).is_some() && !name.starts_with('.') {
            let is_packed = plain.is_some();
            let plain = plain.unwrap_or(name).to_owned();
            let taken = files.entry(plain).or_insert_with(|| path.clone());
            if !is_packed {
                *taken = path;
            }
        }
    }
    Ok(files.into_values().collect())
}

/// The name of the file of labels that belongs to a file of images; `None` for other names.
fn labels_name(images: &str) -> Option<String> {
    let is_idx = images.contains("images") && images.contains("idx3");
    is_idx.then(|| images.replace("images", "labels").replace("idx3", "idx1"))
}

/// The split that the name of a file tells.
fn split_of(file: &Path) -> Option<&'static str> {
    let name = file.file_name()?.to_str()?;
    if name.contains("t10k") || name.contains("test") {
        Some("test")
    } else {
        name.contains("train").then_some("train")
    }
}

/// Finds the file of the labels, packed or not.
fn labels_next_to(images: &Path) -> Result<PathBuf, DataError> {
    let name = images.file_name().and_then(|name| name.to_str());
    let Some(labels) = name.and_then(labels_name) else {
        let what = "has another name than a file of images, such as t10k-images-idx3-ubyte.gz; set \
                    dataset.labels to the file of the labels";
        return Err(DataError::layout(images, what));
    };
    let plain = labels.trim_end_matches(".gz");
    let names = [labels.clone(), plain.to_owned(), format!("{plain}.gz")];
    let mut files = names.iter().map(|name| images.with_file_name(name));
    files.find(|file| file.exists()).ok_or_else(|| {
        let what = format!("its file of labels, {plain}, is not next to it; set dataset.labels");
        DataError::layout(images, what)
    })
}

/// The bytes of a file, unpacked if it is packed.
fn read_bytes(path: &Path, roots: &Roots) -> Result<ByteRange, DataError> {
    let bytes = ByteRange::of_file(SharedFile::open(path, roots)?);
    if !bytes.starts_with(GZIP) {
        return Ok(bytes);
    }
    match unpack(&bytes) {
        Ok(bytes) => Ok(ByteRange::of_memory(bytes)),
        Err(error) => Err(DataError::layout(
            path,
            format!("cannot be unpacked: {error}"),
        )),
    }
}

/// Unpacks a file, at most as many bytes as its header describes.
fn unpack(packed: &ByteRange) -> io::Result<Vec<u8>> {
    let mut decoder = MultiGzDecoder::new(io::BufReader::new(packed.reader()));
    let mut bytes = Vec::new();
    decoder
        .by_ref()
        .take(MAX_HEADER as u64)
        .read_to_end(&mut bytes)?;
    let described = header(&bytes).ok().and_then(|header| header.file_len());
    let most = described.unwrap_or(0).min(MAX_UNPACKED);
    // One more byte shows that the file is longer than described.
    let rest = (most + 1).saturating_sub(bytes.len() as u64);
    decoder.take(rest).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The length of a header of four dimensions; more are an error.
const MAX_HEADER: usize = 20;

/// The type and the sizes of an array.
struct IdxHeader {
    element: ElementType,
    shape: Vec<usize>,
}

impl IdxHeader {
    fn len(&self) -> usize {
        4 + 4 * self.shape.len()
    }

    /// The length of the file that it describes.
    fn file_len(&self) -> Option<u64> {
        let mut sizes = self.shape.iter().map(|&size| size as u64);
        let data = sizes.try_fold(self.element.size() as u64, u64::checked_mul);
        data?.checked_add(self.len() as u64)
    }
}

fn read_array(path: &Path, name: &str, bytes: &ByteRange) -> Result<Array, DataError> {
    let count = bytes.len().min(MAX_HEADER as u64) as usize;
    let start = bytes.read(0, count).map_err(DataError::io(path))?;
    let header = header(&start).map_err(|what| DataError::layout(path, what))?;
    let data = bytes.rest(header.len() as u64);
    let data = data.ok_or_else(|| DataError::layout(path, "is cut short in its header"))?;
    Array::new(
        path,
        ArrayParts {
            name: name.to_owned(),
            bytes: data,
            element: header.element,
            order: ByteOrder::Big,
            shape: header.shape,
        },
    )
}

fn header(start: &[u8]) -> Result<IdxHeader, &'static str> {
    let [0, 0, kind, dimensions @ 1..=4, sizes @ ..] = start else {
        return Err(
            "is not an idx file: it does not begin with 0, 0, a type and 1 to 4 dimensions",
        );
    };
    let element = element(*kind).ok_or("is not an idx file: it has an unknown type of numbers")?;
    let sizes = sizes.get(..4 * usize::from(*dimensions));
    let (sizes, _) = sizes.ok_or("is cut short in its header")?.as_chunks();
    let shape = sizes.iter().map(|size| u32::from_be_bytes(*size) as usize);
    Ok(IdxHeader {
        element,
        shape: shape.collect(),
    })
}

fn element(kind: u8) -> Option<ElementType> {
    Some(match kind {
        0x08 => ElementType::U8,
        0x09 => ElementType::I8,
        0x0b => ElementType::I16,
        0x0c => ElementType::I32,
        0x0d => ElementType::F32,
        0x0e => ElementType::F64,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "tests/idx.rs"]
mod tests;
