//! safetensors with `images` (N, C, H, W) as f32 in \[0, 1\] and `labels` (N) as i64.
//!
//! The header and the labels are read when the file is opened, an image when it is asked for.

use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo, TensorView};
use safetensors::{Dtype, SafeTensorError};
use sha2::{Digest, Sha256};

use super::files::SharedFile;
use super::{DataError, Fault, Image, MAX_SAMPLES};
use crate::domain::{Class, MAX_PIXELS, MAX_SAFETENSORS_HEADER};
use crate::roots::Roots;

/// The file, open, and its labels.
#[derive(Debug)]
pub(super) struct Tensors {
    file: SharedFile,
    labels: Vec<Class>,
    /// Channels, height, width.
    shape: [usize; 3],
    /// Where the first image starts in the file.
    images: u64,
}

impl Tensors {
    /// Opens the file, reads header and labels.
    pub(super) fn open(path: &Path, roots: &Roots) -> Result<Self, DataError> {
        let file = SharedFile::open(path, roots)?;
        let (header, data) = read_header(&file)?;
        let refuse = |tensor: &str, what: String| {
            DataError::layout(path, format!("tensor {tensor:?} {what}"))
        };
        let find = |tensor: &str, dtype: Dtype| match header.info(tensor) {
            None => Err(refuse(tensor, "is missing".to_owned())),
            Some(info) if info.dtype != dtype => Err(refuse(
                tensor,
                format!("is {:?}, not {dtype:?}", info.dtype),
            )),
            Some(info) => Ok(info),
        };
        let (images, labels) = (find("images", Dtype::F32)?, find("labels", Dtype::I64)?);
        let [count, shape @ ..] =
            <[usize; 4]>::try_from(images.shape.as_slice()).map_err(|_| {
                refuse(
                    "images",
                    format!("has shape {:?}, not (N, C, H, W)", images.shape),
                )
            })?;
        if images.shape.contains(&0) {
            return Err(refuse(
                "images",
                format!("of shape {:?} is empty", images.shape),
            ));
        }
        // A file may claim, and with holes even have, more than any memory holds.
        if count as u64 > MAX_SAMPLES {
            return Err(refuse(
                "images",
                format!("holds {count} images, more than the {MAX_SAMPLES} allowed"),
            ));
        }
        if shape.iter().product::<usize>() as u64 > 3 * MAX_PIXELS {
            let most = 3 * MAX_PIXELS;
            return Err(refuse(
                "images",
                format!("has images of shape {shape:?}, more than the {most} values allowed"),
            ));
        }
        if labels.shape != [count] {
            return Err(refuse(
                "labels",
                format!("has shape {:?}, for {count} images", labels.shape),
            ));
        }
        let images = data + images.data_offsets.0 as u64;
        let labels = read_labels(&file, data, labels)?;
        Ok(Self {
            file,
            labels,
            shape,
            images,
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
        // The header was held to the file's length, so none of these products overflows.
        let count = 4 * self.shape.iter().product::<usize>();
        let bytes = self
            .file
            .read(self.images + place as u64 * count as u64, count)?;
        let pixels: Vec<f32> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|&value| f32::from_le_bytes(value))
            .collect();
        // Not a number is in no range either.
        match pixels.iter().position(|value| !(0.0..=1.0).contains(value)) {
            Some(position) => Err(Fault::Pixel {
                position,
                value: pixels[position],
            }),
            None => Ok(Image {
                shape: self.shape,
                pixels,
            }),
        }
    }

    /// SHA-256 of the file.
    pub(super) fn digest(&self) -> Result<[u8; 32], DataError> {
        let mut sha = Sha256::new();
        self.file.hash_into(&mut sha)?;
        Ok(sha.finalize().into())
    }
}

/// The header, and where the data after it starts. What it says of offsets holds for this file.
fn read_header(file: &SharedFile) -> Result<(Metadata, u64), DataError> {
    let path = file.path();
    let refuse = |what: String| DataError::layout(path, format!("not a safetensors file: {what}"));
    if file.len() < 8 {
        return Err(refuse("it is too short".to_owned()));
    }
    let length = file.read(0, 8).map_err(DataError::io(path))?;
    let length = length
        .iter()
        .rev()
        .fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    if length > MAX_SAFETENSORS_HEADER.min(file.len() - 8) {
        return Err(refuse(format!(
            "its header claims {length} bytes, the file has {}",
            file.len()
        )));
    }
    let text = file.read(8, length as usize).map_err(DataError::io(path))?;
    let header: Metadata =
        serde_json::from_slice(&text).map_err(|e| refuse(format!("its header is damaged: {e}")))?;
    let (data, found) = (header.data_len() as u64, file.len() - 8 - length);
    if data != found {
        return Err(refuse(format!(
            "its header describes {data} bytes, {found} follow"
        )));
    }
    Ok((header, 8 + length))
}

/// How many labels are read at once.
const PIECE: usize = 1 << 16;

fn read_labels(file: &SharedFile, data: u64, info: &TensorInfo) -> Result<Vec<Class>, DataError> {
    let (start, end) = info.data_offsets;
    let count = (end - start) / 8;
    let mut labels = Vec::with_capacity(count);
    for first in (0..count).step_by(PIECE) {
        let piece = PIECE.min(count - first);
        let bytes = file
            .read(data + (start + 8 * first) as u64, 8 * piece)
            .map_err(DataError::io(file.path()))?;
        for (place, bytes) in bytes.as_chunks().0.iter().enumerate() {
            let label = i64::from_le_bytes(*bytes);
            labels.push(u32::try_from(label).map(Class).map_err(|_| {
                let place = first + place;
                DataError::layout(
                    file.path(),
                    format!("tensor \"labels\" has {label} at {place}, which is no class"),
                )
            })?);
        }
    }
    Ok(labels)
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
    let refuse = |e: SafeTensorError| match e {
        SafeTensorError::IoError(cause) => DataError::Io {
            path: path.to_owned(),
            cause,
        },
        other => DataError::layout(path, format!("cannot be written: {other}")),
    };
    if labels.len() != shape[0] {
        return Err(DataError::layout(
            path,
            format!("{} labels for {} images", labels.len(), shape[0]),
        ));
    }
    let pixels: Vec<u8> = pixels
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let labels: Vec<u8> = labels
        .iter()
        .flat_map(|label| i64::from(label.0).to_le_bytes())
        .collect();
    let images = TensorView::new(Dtype::F32, shape.to_vec(), &pixels).map_err(refuse)?;
    let labels = TensorView::new(Dtype::I64, vec![shape[0]], &labels).map_err(refuse)?;
    safetensors::serialize_to_file([("images", images), ("labels", labels)], None, path)
        .map_err(refuse)
}

#[cfg(test)]
#[path = "tests/tensors.rs"]
mod tests;
