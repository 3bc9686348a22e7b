//! safetensors files whose bytes depend only on their content.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, TchError, Tensor};

use crate::model::from_view;

/// The metadata of a file by key.
pub(super) type Metadata = HashMap<String, String>;

/// Writes tensors and metadata in one step: the old file stays until the new one is complete and
/// synced.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(path: &Path, tensors: &[(String, Tensor)], metadata: Metadata) -> Result<()> {
    let bytes = serialize(tensors, metadata)?;
    ddrs_common::replace(path, &sort_header(bytes)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

fn serialize(tensors: &[(String, Tensor)], metadata: Metadata) -> Result<Vec<u8>> {
    let tensors = stored(tensors)?;
    let views = tensors
        .iter()
        .map(|(name, tensor)| Ok((name, tensor.view()?)))
        .collect::<Result<Vec<_>>>()?;
    Ok(safetensors::serialize(views, Some(metadata))?)
}

fn stored(tensors: &[(String, Tensor)]) -> Result<Vec<(&String, StoredTensor)>, TchError> {
    let tensors = tensors.iter();
    tensors
        .map(|(name, tensor)| Ok((name, StoredTensor::new(tensor)?)))
        .collect()
}

/// Reads a file that [`write`] wrote.
///
/// # Errors
/// When the file cannot be read or is not such a file.
pub(super) fn read(path: &Path) -> Result<(HashMap<String, Tensor>, Metadata)> {
    let bytes = std::fs::read(path).map_err(anyhow::Error::from);
    bytes
        .and_then(|bytes| parse(&bytes))
        .with_context(|| format!("cannot read {}", path.display()))
}

fn parse(bytes: &[u8]) -> Result<(HashMap<String, Tensor>, Metadata)> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let tensors = load_tensors(&SafeTensors::deserialize(bytes)?)?;
    Ok((tensors, header.metadata().clone().unwrap_or_default()))
}

fn load_tensors(file: &SafeTensors) -> Result<HashMap<String, Tensor>> {
    let tensors = file.tensors().into_iter();
    tensors
        .map(|(name, view)| Ok((name, from_view(&view, kind(view.dtype()))?)))
        .collect()
}

fn kind(dtype: Dtype) -> Kind {
    match dtype {
        Dtype::F64 => Kind::Double,
        _ => Kind::Float,
    }
}

/// Returns a digest of everything that [`write`] would write, independent of the order.
pub(super) fn digest<'a>(
    tensors: impl IntoIterator<Item = (&'a String, &'a Tensor)>,
    metadata: &Metadata,
) -> Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    add_metadata(&mut hasher, metadata);
    for (name, tensor) in tensors.into_iter().collect::<BTreeMap<_, _>>() {
        add(&mut hasher, name.as_bytes());
        add_tensor(&mut hasher, &StoredTensor::new(tensor)?);
    }
    Ok(hasher.finalize().into())
}

fn add_metadata(hasher: &mut Sha256, metadata: &Metadata) {
    for (key, value) in metadata.iter().collect::<BTreeMap<_, _>>() {
        add(hasher, key.as_bytes());
        add(hasher, value.as_bytes());
    }
}

fn add_tensor(hasher: &mut Sha256, tensor: &StoredTensor) {
    let StoredTensor { dtype, shape, .. } = tensor;
    add(hasher, format!("{dtype:?} {shape:?}").as_bytes());
    add(hasher, &tensor.bytes);
}

/// Adds bytes and their length, so that no two sequences of parts give the same digest.
fn add(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// A tensor as a file stores it.
struct StoredTensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl StoredTensor {
    fn new(tensor: &Tensor) -> Result<Self, TchError> {
        let (dtype, kind, width) = match tensor.kind() {
            Kind::Double => (Dtype::F64, Kind::Double, 8),
            _ => (Dtype::F32, Kind::Float, 4),
        };
        let tensor = tensor.f_detach()?.f_to(Device::Cpu)?.f_to_kind(kind)?;
        Ok(Self {
            dtype,
            shape: tensor.size().iter().map(|&side| side as usize).collect(),
            bytes: bytes(&tensor.f_contiguous()?, width)?,
        })
    }

    fn view(&self) -> Result<TensorView<'_>> {
        Ok(TensorView::new(
            self.dtype,
            self.shape.clone(),
            &self.bytes,
        )?)
    }
}

/// Copies the memory of a contiguous tensor whose elements have `width` bytes.
fn bytes(tensor: &Tensor, width: usize) -> Result<Vec<u8>, TchError> {
    let mut bytes = vec![0; tensor.numel() * width];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}

/// Sorts the keys of the header. The library writes metadata in the order of a hash table, which
/// differs between runs, while a model is identified by the digest of its bytes.
fn sort_header(mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    let header = header(&mut bytes).context("the header has another length")?;
    let value: Value = serde_json::from_slice(header)?;
    let text = serde_json::to_string(&value)?;
    ensure!(
        text.len() <= header.len(),
        "the header grew while its keys were sorted"
    );
    // Readers skip spaces at the end, which the library also uses for alignment.
    header.fill(b' ');
    header[..text.len()].copy_from_slice(text.as_bytes());
    Ok(bytes)
}

fn header(bytes: &mut [u8]) -> Option<&mut [u8]> {
    let length = u64::from_le_bytes(*bytes.first_chunk()?) as usize;
    bytes.get_mut(8..8 + length)
}
