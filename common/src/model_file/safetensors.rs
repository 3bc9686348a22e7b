//! The header of a safetensors file.

use std::collections::BTreeMap;

use safetensors::tensor::{Metadata, TensorInfo};

use super::content::FileContent;
use super::{FileTensor, NamedTensors, NamedTensorsError, TensorPlace};
use crate::domain::MAX_SAFETENSORS_HEADER;

/// Reads the header, and checks the file's length against its tensors.
pub(super) fn index(content: FileContent) -> Result<NamedTensors, NamedTensorsError> {
    let header = header(&content)?;
    let start = content.len() - header.data_len() as u64;
    let tensors = header.tensors().into_iter();
    let tensors: BTreeMap<_, _> = tensors
        .map(|(name, info)| (name, stored(info, start)))
        .collect();
    Ok(NamedTensors {
        content,
        tensors,
        metadata: header.metadata().clone().unwrap_or_default(),
        others: Vec::new(),
        torch: None,
    })
}

fn stored(info: &TensorInfo, start: u64) -> FileTensor {
    let (from, to) = info.data_offsets;
    FileTensor {
        dtype: info.dtype,
        shape: info.shape.iter().map(|&length| length as u64).collect(),
        dict: String::new(),
        place: TensorPlace::Bytes(start + from as u64..start + to as u64),
    }
}

fn header(content: &FileContent) -> Result<Metadata, NamedTensorsError> {
    let Some(after_length) = content.len().checked_sub(8) else {
        return Err(damaged("shorter than 8 bytes"));
    };
    let mut length = [0; 8];
    length.copy_from_slice(&content.read(0..8)?);
    let length = u64::from_le_bytes(length);
    if length > MAX_SAFETENSORS_HEADER.min(after_length) {
        let file = content.len();
        let message = format!("a header of {length} bytes does not fit in a file of {file}");
        return Err(damaged(message));
    }
    parse_header(&content.read(8..8 + length)?, after_length - length)
}

/// Parses a header, and checks that its tensors take `found` bytes.
fn parse_header(text: &[u8], found: u64) -> Result<Metadata, NamedTensorsError> {
    let header: Metadata = serde_json::from_slice(text).map_err(damaged)?;
    let expected = header.data_len() as u64;
    if expected == found {
        return Ok(header);
    }
    let message = format!("its tensors take {expected} bytes, the file holds {found}");
    Err(damaged(message))
}

fn damaged(reason: impl std::fmt::Display) -> NamedTensorsError {
    NamedTensorsError::Format(format!("not a safetensors file: {reason}"))
}
