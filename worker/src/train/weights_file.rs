//! safetensors files whose bytes depend on nothing but what is in them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tch::{Kind, TchError, Tensor};

/// Names and values beside the tensors.
pub type Metadata = HashMap<String, String>;

/// Writes tensors and metadata in one step: the old file stands until the new one is whole and
/// synced.
///
/// # Errors
/// When the file cannot be written, and what torch reports.
pub fn write(path: &Path, tensors: &[(String, Tensor)], metadata: Metadata) -> Result<()> {
    let parts = tensors
        .iter()
        .map(|(name, tensor)| Ok((name.as_str(), Part::of(tensor)?)));
    let parts = parts.collect::<Result<Vec<_>>>()?;
    let views = parts.iter().map(
        |(
            name,
            Part {
                dtype,
                shape,
                bytes,
            },
        )| {
            Ok((
                *name,
                TensorView::new(*dtype, shape.clone(), bytes)
                    .with_context(|| (*name).to_owned())?,
            ))
        },
    );
    let bytes = safetensors::serialize(views.collect::<Result<Vec<_>>>()?, Some(metadata))?;
    ddrs_common::replace(path, &ordered(bytes)?)
        .with_context(|| format!("cannot write {}", path.display()))
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
            let kind = if view.dtype() == Dtype::F64 {
                Kind::Double
            } else {
                Kind::Float
            };
            let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
            tensors.insert(name, Tensor::f_from_data_size(view.data(), &shape, kind)?);
        }
        Ok((tensors, header.metadata().clone().unwrap_or_default()))
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

/// A digest of all that [`write`] would write, whatever the order.
///
/// # Errors
/// What torch reports.
pub fn digest<'a>(
    tensors: impl IntoIterator<Item = (&'a String, &'a Tensor)>,
    metadata: &Metadata,
) -> Result<[u8; 32]> {
    let tensors: BTreeMap<&String, &Tensor> = tensors.into_iter().collect();
    let mut hasher = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for (key, value) in metadata.iter().collect::<BTreeMap<_, _>>() {
        add(key.as_bytes());
        add(value.as_bytes());
    }
    for (name, tensor) in tensors {
        let Part {
            dtype,
            shape,
            bytes,
        } = Part::of(tensor)?;
        add(name.as_bytes());
        add(format!("{dtype:?} {shape:?}").as_bytes());
        add(&bytes);
    }
    Ok(hasher.finalize().into())
}

/// A tensor as it lies in a file.
struct Part {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Part {
    fn of(tensor: &Tensor) -> Result<Self, TchError> {
        let shape: Vec<usize> = tensor.size().iter().map(|&side| side as usize).collect();
        let (dtype, kind, width) = match tensor.kind() {
            Kind::Double => (Dtype::F64, Kind::Double, 8),
            _ => (Dtype::F32, Kind::Float, 4),
        };
        let tensor = tensor
            .f_detach()?
            .f_to(tch::Device::Cpu)?
            .f_to_kind(kind)?
            .f_contiguous()?;
        let mut bytes = vec![0; tensor.numel() * width];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        Ok(Self {
            dtype,
            shape,
            bytes,
        })
    }
}

/// The same file with the keys of its header in order. The library writes metadata in the order of
/// a hash table, which differs from run to run, and a model is known by the digest of its bytes.
fn ordered(mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    let length = bytes
        .first_chunk()
        .map_or(0, |length| u64::from_le_bytes(*length)) as usize;
    let header = bytes
        .get_mut(8..8 + length)
        .context("a header of another length")?;
    let value: Value = serde_json::from_slice(header)?;
    let text = serde_json::to_string(&value)?;
    ensure!(
        text.len() <= header.len(),
        "a header that grows by being put in order"
    );
    // Readers skip spaces at the end; the library aligns by them too.
    header.fill(b' ');
    header[..text.len()].copy_from_slice(text.as_bytes());
    Ok(bytes)
}
