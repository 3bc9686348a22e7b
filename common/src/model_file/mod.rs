//! Model files as named tensors: safetensors, and all containers that `torch.save` has had. Nothing
//! in a file is executed.
//!
//! In reading order:
//! - this file: a file's tensors, and reading one of them
//! - `content`: the bytes of a file, in memory or on disk; `kind`: its format, by its content
//! - `safetensors`, `torch_save`: the two formats; `write`: a new safetensors file

mod content;
mod kind;
mod safetensors;
mod torch_save;
mod write;

pub use kind::{FileKind, TorchContainer, file_kind, kind_of};
pub use write::{NewTensor, write_safetensors};

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::path::Path;

use ::safetensors::Dtype;

use self::content::FileContent;
use self::torch_save::TorchSave;
use crate::roots::Roots;

/// The size of the largest model file that is read.
pub const MAX_MODEL: u64 = 8 << 30;

/// A model file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NamedTensorsError {
    /// The file system reports an error.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file is damaged, or has another format.
    #[error("{0}")]
    Format(String),
}

/// The tensors of a model file.
#[derive(Debug)]
pub struct NamedTensors<'a> {
    content: FileContent<'a>,
    tensors: BTreeMap<String, FileTensor>,
    metadata: HashMap<String, String>,
    others: Vec<String>,
    torch: Option<TorchSave>,
}

/// A tensor of a model file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTensor {
    /// The type of its values.
    pub dtype: Dtype,
    /// The length of each dimension.
    pub shape: Vec<u64>,
    /// The dict in the file that holds it: a part of its name, up to a point.
    pub dict: String,
    place: TensorPlace,
}

/// The place of a tensor's values.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TensorPlace {
    /// These bytes of the file, in row-major order.
    Bytes(Range<u64>),
    /// Elements of a storage of `torch.save`.
    Strided {
        storage: String,
        offset: u64,
        strides: Vec<u64>,
    },
}

impl<'a> NamedTensors<'a> {
    /// Opens a file. Of a safetensors file only the header is read, since the weights may take
    /// gigabytes.
    ///
    /// # Errors
    /// When it cannot be read, or is not a whole model file.
    pub fn open(path: &Path, roots: &Roots) -> Result<NamedTensors<'static>, NamedTensorsError> {
        let file = FileContent::open(path, roots)?;
        let kind = kind::of_content(&file)?;
        // The name decides only how a file that is neither is refused.
        let is_named_so = path.extension().is_some_and(|name| name == "safetensors");
        if kind == FileKind::Safetensors || (kind.is_unknown() && is_named_so) {
            return safetensors::index(file);
        }
        NamedTensors::of_bytes(roots.read(path, MAX_MODEL)?)
    }

    /// Reads a file that is in memory.
    ///
    /// # Errors
    /// When it is not a whole model file.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, NamedTensorsError> {
        Self::of_content(FileContent::borrowed(bytes))
    }

    fn of_bytes(bytes: Vec<u8>) -> Result<NamedTensors<'static>, NamedTensorsError> {
        NamedTensors::of_content(FileContent::owned(bytes))
    }

    fn of_content(content: FileContent<'a>) -> Result<Self, NamedTensorsError> {
        match kind::of_content(&content)? {
            FileKind::Safetensors => safetensors::index(content),
            FileKind::TorchSave(container) => torch_save::index(content, container),
            other => Err(NamedTensorsError::Format(other.refusal())),
        }
    }

    /// The tensors by name. The name is the path to the tensor through the file's dicts, with
    /// points between the keys.
    #[must_use]
    pub fn tensors(&self) -> &BTreeMap<String, FileTensor> {
        &self.tensors
    }

    /// Texts by name: the metadata of a safetensors file, or those at the top of a checkpoint.
    #[must_use]
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// The names of everything in a checkpoint that is not a tensor and not a dict.
    #[must_use]
    pub fn others(&self) -> &[String] {
        &self.others
    }

    /// Returns true for a checkpoint of `torch.save`.
    #[must_use]
    pub fn is_torch_save(&self) -> bool {
        self.torch.is_some()
    }

    /// Reads the values of a tensor: little-endian, in row-major order.
    ///
    /// # Errors
    /// When no tensor has this name, or its values cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, NamedTensorsError> {
        let missing = || NamedTensorsError::Format(format!("no tensor {name}"));
        let tensor = self.tensors.get(name).ok_or_else(missing)?;
        match (&tensor.place, &self.torch) {
            (TensorPlace::Bytes(range), _) => Ok(self.content.read(range.clone())?),
            (TensorPlace::Strided { .. }, Some(torch)) => torch
                .read(&self.content, tensor)
                .map_err(|problem| NamedTensorsError::Format(format!("tensor {name}: {problem}"))),
            (TensorPlace::Strided { .. }, None) => Err(missing()),
        }
    }

    /// Reads the values of a tensor of floating-point numbers.
    ///
    /// # Errors
    /// As [`Self::read`], and when the tensor has another type.
    pub fn read_numbers(&self, name: &str) -> Result<Vec<f64>, NamedTensorsError> {
        let bytes = self.read(name)?;
        let dtype = self.tensors.get(name).map(|tensor| tensor.dtype);
        let refused = || NamedTensorsError::Format(format!("tensor {name} holds {dtype:?}"));
        dtype
            .and_then(|dtype| numbers(dtype, &bytes))
            .ok_or_else(refused)
    }

    /// Returns true if two tensors have the same type, shape and values.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn are_equal(&self, one: &str, other: &str) -> Result<bool, NamedTensorsError> {
        let (Some(a), Some(b)) = (self.tensors.get(one), self.tensors.get(other)) else {
            return Ok(false);
        };
        if (a.dtype, &a.shape) != (b.dtype, &b.shape) {
            return Ok(false);
        }
        Ok(a.place == b.place || self.read(one)? == self.read(other)?)
    }
}

impl FileTensor {
    /// The number of values.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shape.iter().copied().fold(1, u64::saturating_mul)
    }

    /// Returns true if it has no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn numbers(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f64>> {
    Some(match dtype {
        Dtype::F64 => each(bytes, f64::from_le_bytes),
        // The shortest decimals that a single-precision number was written as.
        Dtype::F32 => each(bytes, |bytes| shortest(f32::from_le_bytes(bytes))),
        Dtype::F16 => each(bytes, |bytes| half::f16::from_le_bytes(bytes).to_f64()),
        Dtype::BF16 => each(bytes, |bytes| half::bf16::from_le_bytes(bytes).to_f64()),
        _ => return None,
    })
}

fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let (numbers, _) = bytes.as_chunks::<N>();
    numbers.iter().map(|&bytes| number(bytes)).collect()
}

/// The double whose shortest decimal is that of a single-precision number: 0.4914, not
/// 0.4914000034332275.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| value.into())
}

#[cfg(test)]
mod tests;
