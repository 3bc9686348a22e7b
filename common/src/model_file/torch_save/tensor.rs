//! A tensor as a pickle describes it.

use safetensors::Dtype;

use super::super::{FileTensor, TensorPlace};
use super::{OpenContainer, key};
use crate::pickle::{PickleValue, PickledCall};

/// More dimensions than any tensor of a network has.
pub(super) const MOST_DIMENSIONS: usize = 16;

/// A tensor in a storage. Lengths are in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StridedTensor {
    pub(super) storage: StorageView,
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    pub(super) strides: Vec<u64>,
}

/// A storage from one of its elements on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StorageView {
    /// `None` for a storage of bytes, whose tensors say the type.
    pub(super) dtype: Option<Dtype>,
    pub(super) key: String,
    pub(super) first: u64,
}

/// The tensor that a value stands for; `None` for another value, or a tensor of a type without a
/// name in safetensors.
pub(super) fn stored(value: PickleValue, open: &OpenContainer) -> Option<FileTensor> {
    strided(value, open, 4)?.checked(open)
}

/// Wrappers of wrappers are followed to a depth.
fn strided(value: PickleValue, open: &OpenContainer, depth: u32) -> Option<StridedTensor> {
    if let Some(id) = value.as_persistent() {
        return open.tensors.get(&key(id)?).cloned();
    }
    let depth = depth.checked_sub(1)?;
    let call = value.as_call()?;
    let first = *call.arguments.first()?;
    match (call.module, call.name) {
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3") => {
            rebuilt(&call)
        }
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state")
        | ("torch.nn.parameter", "Parameter") => strided(first, open, depth),
        ("torch._tensor", "_rebuild_from_type_v2") => of_subclass(&call),
        _ => None,
    }
}

/// Reads the arguments: storage, offset, shape and strides; the third form also has the type.
fn rebuilt(call: &PickledCall) -> Option<StridedTensor> {
    let dtype = call.arguments.get(6).and_then(|dtype| dtype_of(*dtype));
    rebuilt_of(&call.arguments, dtype)
}

/// A subclass of tensors: the function and its arguments are arguments of another function.
fn of_subclass(call: &PickledCall) -> Option<StridedTensor> {
    let [function, _, arguments, ..] = call.arguments[..] else {
        return None;
    };
    let (module, name) = function.as_global()?;
    let is_known = module == "torch._utils" && name.starts_with("_rebuild_tensor");
    is_known
        .then(|| rebuilt_of(&arguments.elements()?, None))
        .flatten()
}

fn rebuilt_of(arguments: &[PickleValue], dtype: Option<Dtype>) -> Option<StridedTensor> {
    let [storage, offset, shape, strides, ..] = *arguments else {
        return None;
    };
    let mut storage = StorageView::read(storage.as_persistent()?)?;
    storage.dtype = dtype.or(storage.dtype);
    Some(StridedTensor {
        storage,
        offset: offset.as_u64()?,
        shape: lengths(shape)?,
        strides: lengths(strides)?,
    })
}

/// Reads a tuple or a `torch.Size`.
fn lengths(value: PickleValue) -> Option<Vec<u64>> {
    let size = value
        .as_call()
        .and_then(|call| call.arguments.first().copied());
    let elements = size.unwrap_or(value).elements()?;
    elements.into_iter().map(PickleValue::as_u64).collect()
}

impl StorageView {
    /// Reads `('storage', type, key, location, length)`, to which old versions add the key, the
    /// offset and the length of a view.
    pub(super) fn read(id: PickleValue) -> Option<Self> {
        let id = id.elements()?;
        let [kind, class, storage, _, _, ref view @ ..] = id[..] else {
            return None;
        };
        let view = view.first().and_then(|view| view.elements());
        let first = view.map_or(Some(0), |view| view.get(1)?.as_u64());
        (kind.as_text()? == "storage").then_some(Self {
            dtype: storage_dtype(class),
            key: key(storage)?,
            first: first?,
        })
    }

    /// The number of bytes of a length that the container gives in elements.
    pub(super) fn bytes(&self, elements: u64) -> Option<u64> {
        let width = self.dtype.map_or(1, |dtype| dtype.bitsize() as u64 / 8);
        elements.checked_mul(width)
    }
}

/// The type of `torch.FloatStorage` and its like.
pub(super) fn storage_dtype(class: PickleValue) -> Option<Dtype> {
    Some(match class.as_global()?.1 {
        "DoubleStorage" => Dtype::F64,
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::BOOL,
        _ => return None,
    })
}

/// The type of `torch.float32` and its like.
fn dtype_of(dtype: PickleValue) -> Option<Dtype> {
    Some(match dtype.as_global()?.1 {
        "float64" => Dtype::F64,
        "float32" => Dtype::F32,
        "float16" => Dtype::F16,
        "bfloat16" => Dtype::BF16,
        "int64" => Dtype::I64,
        "int32" => Dtype::I32,
        "int16" => Dtype::I16,
        "int8" => Dtype::I8,
        "uint8" => Dtype::U8,
        "uint16" => Dtype::U16,
        "uint32" => Dtype::U32,
        "uint64" => Dtype::U64,
        "bool" => Dtype::BOOL,
        "float8_e4m3fn" => Dtype::F8_E4M3,
        "float8_e5m2" => Dtype::F8_E5M2,
        _ => return None,
    })
}

impl StridedTensor {
    /// Checks that all elements lie in the storage.
    fn checked(self, open: &OpenContainer) -> Option<FileTensor> {
        let dtype = self.storage.dtype?;
        let bytes = open.storages.get(&self.storage.key)?.length();
        let offset = self.storage.first.checked_add(self.offset)?;
        let fits = self.end(offset)? <= bytes / (dtype.bitsize() as u64 / 8);
        let is_flat = self.shape.len() == self.strides.len() && self.shape.len() <= MOST_DIMENSIONS;
        (fits && is_flat).then_some(FileTensor {
            dtype,
            shape: self.shape,
            dict: String::new(),
            place: TensorPlace::Strided {
                storage: self.storage.key,
                offset,
                strides: self.strides,
            },
        })
    }

    /// The end of the last element; the offset of an empty tensor.
    fn end(&self, offset: u64) -> Option<u64> {
        if self.shape.contains(&0) {
            return Some(offset);
        }
        let last = self.shape.iter().zip(&self.strides);
        let last = last.map(|(length, stride)| (length - 1).checked_mul(*stride));
        last.chain([Some(offset), Some(1)])
            .try_fold(0_u64, |sum, part| sum.checked_add(part?))
    }
}
