//! safetensors with images (N, C, H, W), bytes or floating-point numbers in \[0, 1\], and labels
//! (N).
//!
//! Opening the file reads the header and the labels; images are read on request.

use std::io;
use std::path::Path;

use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, SafeTensorError};

use super::DataError;
use super::array::{Array, ArrayParts, ByteOrder, ElementType};
use super::array_names::find_pair;
use super::array_set::ArraySet;
use super::bytes::ByteRange;
use super::files::SharedFile;
use crate::domain::{Class, MAX_SAFETENSORS_HEADER};
use crate::roots::Roots;
use crate::spec::{DatasetSpec, PixelLayout};

/// Opens the file, reads the header and the labels.
pub(super) fn open(spec: &DatasetSpec, roots: &Roots) -> Result<ArraySet, DataError> {
    let file = ByteRange::of_file(SharedFile::open(&spec.path, roots)?);
    let header = TensorFile::read(&spec.path, &file)?;
    let pair = find_pair(
        &spec.path,
        spec.names.as_ref(),
        spec.split.as_deref(),
        &header.names(),
    )?;
    let arrays = [header.array(&pair.images)?, header.array(&pair.labels)?];
    let usual = Some(PixelLayout::ChannelsFirst);
    let set = ArraySet::new(spec, arrays, usual, vec![file.clone()])?;
    let is_for_tests = pair.split.as_deref() == Some("test");
    Ok(set.for_tests(is_for_tests))
}

/// An open file of tensors, whose header is read.
pub(super) struct TensorFile<'a> {
    path: &'a Path,
    header: Metadata,
    /// The data after the header.
    data: ByteRange,
}

impl<'a> TensorFile<'a> {
    pub(super) fn read(path: &'a Path, file: &ByteRange) -> Result<Self, DataError> {
        let (header, data) = read_header(path, file)?;
        Ok(Self { path, header, data })
    }

    /// The names of the tensors, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.header.tensors().into_keys().collect();
        names.sort_unstable();
        names
    }

    pub(super) fn array(&self, name: &str) -> Result<Array, DataError> {
        let refuse = |what: &str| DataError::layout(self.path, format!("tensor {name:?} {what}"));
        let info = self.header.info(name).ok_or_else(|| refuse("is missing"))?;
        let (start, end) = info.data_offsets;
        let bytes = self.data.part(start as u64, (end - start) as u64);
        let element = element(info.dtype);
        let element = element.ok_or_else(|| refuse(&format!("is {:?}", info.dtype)))?;
        Array::new(
            self.path,
            ArrayParts {
                name: format!("tensor {name:?}"),
                bytes: bytes.ok_or_else(|| refuse("is cut short"))?,
                element,
                order: ByteOrder::Little,
                shape: info.shape.clone(),
            },
        )
    }
}

fn element(dtype: Dtype) -> Option<ElementType> {
    Some(match dtype {
        Dtype::U8 => ElementType::U8,
        Dtype::I8 => ElementType::I8,
        Dtype::U16 => ElementType::U16,
        Dtype::I16 => ElementType::I16,
        Dtype::U32 => ElementType::U32,
        Dtype::I32 => ElementType::I32,
        Dtype::U64 => ElementType::U64,
        Dtype::I64 => ElementType::I64,
        Dtype::F16 => ElementType::F16,
        Dtype::BF16 => ElementType::Bf16,
        Dtype::F32 => ElementType::F32,
        Dtype::F64 => ElementType::F64,
        _ => return None,
    })
}

/// Reads the header, and returns it with the data after it. The offsets in it are checked against
/// the file's length.
fn read_header(path: &Path, file: &ByteRange) -> Result<(Metadata, ByteRange), DataError> {
    let length = header_length(path, file)?;
    let text = file.read(8, length as usize);
    let text = text.map_err(DataError::io(path))?;
    let header: Metadata = serde_json::from_slice(&text)
        .map_err(|error| not_safetensors(path, &format!("its header is damaged: {error}")))?;
    let data = file.rest(8 + length);
    let data = data.ok_or_else(|| not_safetensors(path, "it is too short"))?;
    check_data_length(path, header.data_len() as u64, data.len())?;
    Ok((header, data))
}

fn check_data_length(path: &Path, described: u64, found: u64) -> Result<(), DataError> {
    if described == found {
        return Ok(());
    }
    let what = format!("its header describes {described} bytes, {found} follow");
    Err(not_safetensors(path, &what))
}

fn header_length(path: &Path, file: &ByteRange) -> Result<u64, DataError> {
    let len = file.len();
    if len < 8 {
        return Err(not_safetensors(path, "it is too short"));
    }
    let length = first_number(file).map_err(DataError::io(path))?;
    if length > MAX_SAFETENSORS_HEADER.min(len - 8) {
        let what = format!("its header claims {length} bytes, the file has {len}");
        return Err(not_safetensors(path, &what));
    }
    Ok(length)
}

fn first_number(file: &ByteRange) -> io::Result<u64> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&file.read(0, 8)?);
    Ok(u64::from_le_bytes(bytes))
}

fn not_safetensors(path: &Path, what: &str) -> DataError {
    DataError::layout(path, format!("not a safetensors file: {what}"))
}

/// Writes a dataset in the `tensors` format: `pixels` of `shape` (N, C, H, W), and a label for each
/// of the N images.
///
/// # Errors
/// When the numbers of pixels or labels do not fit the shape, or when the file cannot be written.
pub fn write_tensors(
    path: &Path,
    shape: [usize; 4],
    pixels: &[f32],
    labels: &[Class],
) -> Result<(), DataError> {
    if labels.len() != shape[0] {
        let what = format!("{} labels for {} images", labels.len(), shape[0]);
        return Err(DataError::layout(path, what));
    }
    serialize(path, shape, pixels, labels).map_err(|error| write_error(path, error))
}

fn write_error(path: &Path, error: SafeTensorError) -> DataError {
    match error {
        SafeTensorError::IoError(cause) => DataError::io(path)(cause),
        other => DataError::layout(path, format!("cannot be written: {other}")),
    }
}

fn serialize(
    path: &Path,
    shape: [usize; 4],
    pixels: &[f32],
    labels: &[Class],
) -> Result<(), SafeTensorError> {
    let pixels: Vec<u8> = pixels.iter().flat_map(|v| v.to_le_bytes()).collect();
    let labels: Vec<u8> = labels.iter().copied().flat_map(label_bytes).collect();
    let images = TensorView::new(Dtype::F32, shape.to_vec(), &pixels)?;
    let labels = TensorView::new(Dtype::I64, vec![shape[0]], &labels)?;
    safetensors::serialize_to_file([("images", images), ("labels", labels)], None, path)
}

fn label_bytes(label: Class) -> [u8; 8] {
    i64::from(label.0).to_le_bytes()
}

#[cfg(test)]
#[path = "tests/tensors.rs"]
mod tests;
