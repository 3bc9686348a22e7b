//! safetensors files whose bytes depend on nothing but what is in them.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use tch::{Kind, Tensor};

/// Names and values beside the tensors.
pub type Metadata = HashMap<String, String>;

/// Writes tensors and metadata in one step: the old file stands until the new one is whole and synced.
///
/// # Errors
/// When the file cannot be written, and what torch reports.
pub fn write(path: &Path, tensors: &[(String, Tensor)], metadata: Metadata) -> Result<()> {
    let mut parts = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let shape: Vec<usize> = tensor.size().iter().map(|&side| side as usize).collect();
        let (dtype, width) = match tensor.kind() {
            Kind::Double => (Dtype::F64, 8),
            _ => (Dtype::F32, 4),
        };
        let kind = if dtype == Dtype::F64 { Kind::Double } else { Kind::Float };
        let tensor = tensor.f_detach()?.f_to(tch::Device::Cpu)?.f_to_kind(kind)?.f_contiguous()?;
        let mut bytes = vec![0; tensor.numel() * width];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        parts.push((name.as_str(), dtype, shape, bytes));
    }
    let views = parts.iter().map(|(name, dtype, shape, bytes)| {
        Ok((*name, TensorView::new(*dtype, shape.clone(), bytes).with_context(|| (*name).to_owned())?))
    });
    let bytes = safetensors::serialize(views.collect::<Result<Vec<_>>>()?, Some(metadata))?;
    ddrs_common::replace(path, &ordered(bytes)?).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// When the file cannot be read or is none of these.
pub fn read(path: &Path) -> Result<(HashMap<String, Tensor>, Metadata)> {
    let read = || -> Result<_> {
        let bytes = std::fs::read(path)?;
        let (_, header) = SafeTensors::read_metadata(&bytes)?;
        let mut tensors = HashMap::new();
        for (name, view) in SafeTensors::deserialize(&bytes)?.tensors() {
            let kind = if view.dtype() == Dtype::F64 { Kind::Double } else { Kind::Float };
            let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
            tensors.insert(name, Tensor::f_from_data_size(view.data(), &shape, kind)?);
        }
        Ok((tensors, header.metadata().clone().unwrap_or_default()))
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

/// The same file with the keys of its header in order. The library writes metadata in the order of a hash table, which
/// differs from run to run, and a model is known by the digest of its bytes.
fn ordered(mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    let length = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length)) as usize;
    let header = bytes.get_mut(8..8 + length).context("a header of another length")?;
    let value: Value = serde_json::from_slice(header)?;
    let text = serde_json::to_string(&value)?;
    ensure!(text.len() <= header.len(), "a header that grows by being put in order");
    // Readers skip spaces at the end; the library aligns by them too.
    header.fill(b' ');
    header[..text.len()].copy_from_slice(text.as_bytes());
    Ok(bytes)
}
