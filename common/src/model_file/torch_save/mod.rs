//! Checkpoints of `torch.save`: a pickle, and the storages that it refers to.
//!
//! In reading order:
//! - this file: a checkpoint's index
//! - `archive`, `stream`, `tar`: the three containers
//! - `walk`, `tensor`: from the objects of the pickle to named tensors
//! - `member`: a member of a ZIP archive
//! - `storage`: the bytes of a storage, and the elements of a tensor in it

mod archive;
mod member;
mod storage;
mod stream;
mod tar;
mod tensor;
mod walk;

use std::collections::HashMap;

use self::storage::StoragePlace;
use self::tensor::StridedTensor;
use super::content::FileContent;
use super::kind::TorchContainer;
use super::{FileTensor, NamedTensors, NamedTensorsError};
use crate::pickle::{NUMPY_CONSTRUCTORS, Pickle, PickleRules, PickleValue};

/// The most objects of a checkpoint's pickle.
const MOST_OBJECTS: usize = 1 << 22;

/// The functions that may occur in a checkpoint. Those of tensors are understood, the others are
/// left aside.
const FUNCTIONS: [(&str, &str); 34] = [
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("collections", "Counter"),
    ("collections", "deque"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_tensor_v3"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_parameter_with_state"),
    ("torch._utils", "_rebuild_qtensor"),
    ("torch._utils", "_rebuild_sparse_tensor"),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"),
    ("torch._utils", "_rebuild_device_tensor_from_numpy"),
    ("torch._tensor", "_rebuild_from_type_v2"),
    ("torch.nn.parameter", "Parameter"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch", "Tensor"),
    ("torch.serialization", "_get_layout"),
    ("torch.storage", "_load_from_bytes"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.random._pickle", "__randomstate_ctor"),
    ("numpy.random._pickle", "__generator_ctor"),
    ("numpy.random._pickle", "__bit_generator_ctor"),
    ("argparse", "Namespace"),
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("pathlib", "PurePosixPath"),
    ("datetime", "datetime"),
    ("datetime", "timedelta"),
    ("builtins", "slice"),
    ("builtins", "complex"),
    ("builtins", "range"),
];

/// The storages of a checkpoint.
#[derive(Debug)]
pub(super) struct TorchSave {
    storages: HashMap<String, StoragePlace>,
}

/// A container, opened: the bytes of the pickle are elsewhere.
struct OpenContainer {
    storages: HashMap<String, StoragePlace>,
    /// Tensors that are stored outside the pickle, in tar archives only.
    tensors: HashMap<String, StridedTensor>,
}

type Indexed<T> = Result<T, String>;

/// Reads what a checkpoint contains, without its weights.
pub(super) fn index(
    content: FileContent,
    container: TorchContainer,
) -> Result<NamedTensors, NamedTensorsError> {
    let found = find(content.bytes(), container).map_err(NamedTensorsError::Format)?;
    let walked = found.0;
    Ok(NamedTensors {
        content,
        tensors: walked.tensors,
        metadata: walked.texts,
        others: walked.others,
        torch: Some(TorchSave { storages: found.1 }),
    })
}

type Found = (walk::Walked, HashMap<String, StoragePlace>);

fn find(bytes: &[u8], container: TorchContainer) -> Indexed<Found> {
    let (pickle, open) = match container {
        TorchContainer::Zip => archive::open(bytes)?,
        TorchContainer::Stream => stream::open(bytes)?,
        TorchContainer::Tar => tar::open(bytes)?,
    };
    let pickle = read_pickle(&pickle)?;
    let walked = walk::walk(pickle.root(), &open)?;
    Ok((walked, open.storages))
}

fn read_pickle(bytes: &[u8]) -> Indexed<Pickle<'_>> {
    let mut functions = FUNCTIONS.to_vec();
    functions.extend(NUMPY_CONSTRUCTORS);
    let rules = PickleRules {
        callable: &functions,
        keeps_instances: true,
        most_objects: MOST_OBJECTS,
    };
    Pickle::read(bytes, rules).map_err(|error| format!("cannot read the checkpoint: {error}"))
}

/// The keys of `sys_info` or the record of a ZIP archive say in which order the bytes are.
fn check_byte_order(is_little_endian: bool) -> Indexed<()> {
    if is_little_endian {
        return Ok(());
    }
    Err("its numbers are big-endian: load it and save it on another machine".to_owned())
}

/// The key of a storage: Python 2 writes bytes, and old versions numbers.
fn key(value: PickleValue) -> Option<String> {
    let number = || value.as_int().map(|number| number.to_string());
    value.as_text().map(str::to_owned).or_else(number)
}

impl TorchSave {
    /// Reads the elements of a tensor, in row-major order.
    pub(super) fn read(&self, content: &FileContent, tensor: &FileTensor) -> Indexed<Vec<u8>> {
        storage::gather(content.bytes(), &self.storages, tensor)
    }
}
