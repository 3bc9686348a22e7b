//! safetensors with `images` (N, C, H, W) as f32 in \[0, 1\] and `labels` (N) as i64.
//!
//! Opening the file reads the header and the labels; images are read on request.

use std::io;
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo, TensorView};
use safetensors::{Dtype, SafeTensorError};
use sha2::{Digest, Sha256};

use super::files::SharedFile;
use super::{DataError, Fault, Image, MAX_SAMPLES};
use crate::domain::{Class, MAX_PIXELS, MAX_SAFETENSORS_HEADER};
use crate::roots::Roots;

/// The open file and its labels.
#[derive(Debug)]
pub(super) struct Tensors {
    file: SharedFile,
    labels: Vec<Class>,
    /// Channels, height, width.
    shape: [usize; 3],
    /// The offset of the first image in the file.
    images: u64,
}

impl Tensors {
    /// Opens the file, reads header and labels.
    pub(super) fn open(path: &Path, roots: &Roots) -> Result<Self, DataError> {
        let file = SharedFile::open(path, roots)?;
        let (header, data) = read_header(&file)?;
        let header = Header { path, header };
        let images = header.find("images", Dtype::F32)?;
        let labels = header.find("labels", Dtype::I64)?;
        let [count, shape @ ..] = header.image_shape(images)?;
        header.check_size(count, shape)?;
        header.check_label_count(labels, count)?;
        Ok(Self {
            labels: read_labels(&file, data, labels)?,
            shape,
            images: data + images.data_offsets.0 as u64,
            file,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Channels, height and width of every image.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    pub(super) fn label(&self, place: usize) -> Class {
        self.labels[place]
    }

    pub(super) fn image(&self, place: usize) -> Result<Image, Fault> {
        // The header was checked against the file's length, so no product overflows.
        let count = 4 * self.shape.iter().product::<usize>();
        let offset = self.images + place as u64 * count as u64;
        let pixels = floats(&self.file.read(offset, count)?);
        check_pixels(&pixels)?;
        Ok(Image {
            shape: self.shape,
            pixels,
        })
    }

    /// SHA-256 of the file.
    pub(super) fn digest(&self) -> Result<[u8; 32], DataError> {
        let mut sha = Sha256::new();
        self.file.hash_into(&mut sha)?;
        Ok(sha.finalize().into())
    }
}

fn check_pixels(pixels: &[f32]) -> Result<(), Fault> {
    // NaN is not in the range either.
    let bad = pixels.iter().position(|value| !(0.0..=1.0).contains(value));
    match bad {
        Some(position) => Err(Fault::Pixel {
            position,
            value: pixels[position],
        }),
        None => Ok(()),
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks();
    values.iter().copied().map(f32::from_le_bytes).collect()
}

/// The header of a file, to check its tensors.
struct Header<'a> {
    path: &'a Path,
    header: Metadata,
}

impl Header<'_> {
    fn refuse(&self, tensor: &str, what: &str) -> DataError {
        DataError::layout(self.path, format!("tensor {tensor:?} {what}"))
    }

    fn find(&self, tensor: &str, dtype: Dtype) -> Result<&TensorInfo, DataError> {
        match self.header.info(tensor) {
            None => Err(self.refuse(tensor, "is missing")),
            Some(info) if info.dtype == dtype => Ok(info),
            Some(info) => Err(self.refuse(tensor, &format!("is {:?}, not {dtype:?}", info.dtype))),
        }
    }

    fn check_label_count(&self, labels: &TensorInfo, images: usize) -> Result<(), DataError> {
        if labels.shape == [images] {
            return Ok(());
        }
        let what = format!("has shape {:?}, for {images} images", labels.shape);
        Err(self.refuse("labels", &what))
    }

    /// The shape (N, C, H, W) of the images, without zeros.
    fn image_shape(&self, images: &TensorInfo) -> Result<[usize; 4], DataError> {
        let found = &images.shape;
        match <[usize; 4]>::try_from(found.as_slice()) {
            Ok(shape) if shape.contains(&0) => {
                Err(self.refuse("images", &format!("of shape {found:?} is empty")))
            }
            Ok(shape) => Ok(shape),
            Err(_) => Err(self.refuse("images", &format!("has shape {found:?}, not (N, C, H, W)"))),
        }
    }

    /// Refuses sizes that no memory holds. A file may claim them, and a sparse file even have them.
    fn check_size(&self, count: usize, shape: [usize; 3]) -> Result<(), DataError> {
        let most = 3 * MAX_PIXELS;
        let what = if count as u64 > MAX_SAMPLES {
            format!("holds {count} images, more than the {MAX_SAMPLES} allowed")
        } else if shape.iter().product::<usize>() as u64 > most {
            format!("has images of shape {shape:?}, more than the {most} values allowed")
        } else {
            return Ok(());
        };
        Err(self.refuse("images", &what))
    }
}

/// Reads the header, and returns it with the offset of the data after it. The offsets in it are
/// checked against the file's length.
fn read_header(file: &SharedFile) -> Result<(Metadata, u64), DataError> {
    let length = header_length(file)?;
    let text = file.read(8, length as usize);
    let text = text.map_err(DataError::io(file.path()))?;
    let header: Metadata = serde_json::from_slice(&text)
        .map_err(|error| not_safetensors(file, &format!("its header is damaged: {error}")))?;
    check_data_length(file, header.data_len() as u64, file.len() - 8 - length)?;
    Ok((header, 8 + length))
}

fn check_data_length(file: &SharedFile, described: u64, found: u64) -> Result<(), DataError> {
    if described == found {
        return Ok(());
    }
    let what = format!("its header describes {described} bytes, {found} follow");
    Err(not_safetensors(file, &what))
}

fn header_length(file: &SharedFile) -> Result<u64, DataError> {
    let len = file.len();
    if len < 8 {
        return Err(not_safetensors(file, "it is too short"));
    }
    let length = first_number(file).map_err(DataError::io(file.path()))?;
    if length > MAX_SAFETENSORS_HEADER.min(len - 8) {
        let what = format!("its header claims {length} bytes, the file has {len}");
        return Err(not_safetensors(file, &what));
    }
    Ok(length)
}

fn first_number(file: &SharedFile) -> io::Result<u64> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&file.read(0, 8)?);
    Ok(u64::from_le_bytes(bytes))
}

fn not_safetensors(file: &SharedFile, what: &str) -> DataError {
    DataError::layout(file.path(), format!("not a safetensors file: {what}"))
}

/// The number of labels that are read at once.
const PIECE: usize = 1 << 16;

fn read_labels(file: &SharedFile, data: u64, info: &TensorInfo) -> Result<Vec<Class>, DataError> {
    let (start, end) = info.data_offsets;
    let count = (end - start) / 8;
    let mut labels = Vec::with_capacity(count);
    for first in (0..count).step_by(PIECE) {
        let piece = PIECE.min(count - first);
        let offset = data + (start + 8 * first) as u64;
        let bytes = file.read(offset, 8 * piece);
        let bytes = bytes.map_err(DataError::io(file.path()))?;
        for (place, bytes) in bytes.as_chunks().0.iter().enumerate() {
            labels.push(label(file, first + place, i64::from_le_bytes(*bytes))?);
        }
    }
    Ok(labels)
}

fn label(file: &SharedFile, place: usize, label: i64) -> Result<Class, DataError> {
    u32::try_from(label).map(Class).map_err(|_| {
        let what = format!("tensor \"labels\" has {label} at {place}, which is not a class");
        DataError::layout(file.path(), what)
    })
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
