//! Checkpoints in tar archives: the members `storages`, `tensors` and `pickle`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;

use super::storage::StoragePlace;
use super::stream::Stream;
use super::tensor::{MOST_DIMENSIONS, StorageView, StridedTensor, storage_dtype};
use super::{Indexed, OpenContainer, key};
use crate::pickle::PickleValue;

type Views = HashMap<String, StorageView>;

pub(super) fn open(bytes: &[u8]) -> Indexed<(Cow<'_, [u8]>, OpenContainer)> {
    let members = members(bytes)?;
    let missing = |name| format!("a tar archive without {name:?} is not a checkpoint: unpack it");
    let member = |name| members.get(name).cloned().ok_or_else(|| missing(name));
    let mut storages = HashMap::new();
    let views = storage_views(bytes, member("storages")?, &mut storages)?;
    let tensors = tensors(&bytes[member("tensors")?], &views)?;
    let open = OpenContainer { storages, tensors };
    Ok((Cow::Borrowed(&bytes[member("pickle")?]), open))
}

/// The places of the members, all within the file.
fn members(bytes: &[u8]) -> Indexed<HashMap<String, Range<usize>>> {
    let damaged = |error: std::io::Error| format!("the tar archive is damaged: {error}");
    let mut archive = tar::Archive::new(Cursor::new(bytes));
    let mut members = HashMap::new();
    for member in archive.entries().map_err(damaged)? {
        let member = member.map_err(damaged)?;
        let start = member.raw_file_position() as usize;
        let range = start..start.saturating_add(member.size() as usize);
        if bytes.get(range.clone()).is_none() {
            return Err("the tar archive is cut off".to_owned());
        }
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        members.insert(name, range);
    }
    Ok(members)
}

/// Reads the member `storages`: how many, then a pickle and the bytes of each, then the views.
fn storage_views(
    bytes: &[u8],
    member: Range<usize>,
    storages: &mut HashMap<String, StoragePlace>,
) -> Indexed<Views> {
    let mut stream = Stream {
        bytes: &bytes[..member.end],
        at: member.start,
    };
    let count = stream
        .pickle()?
        .root()
        .as_u64()
        .ok_or("no number of storages")?;
    let mut views = HashMap::new();
    for _ in 0..count {
        let view = storage(stream.pickle()?.root()).ok_or("a storage is damaged")?;
        storages.insert(view.key.clone(), stream.storage(&view)?);
        views.insert(view.key.clone(), view);
    }
    let parts = stream.pickle()?;
    for part in parts.root().elements().unwrap_or_default() {
        let (name, view) = part_of_storage(part, &views).ok_or("a view is damaged")?;
        views.insert(name, view);
    }
    Ok(views)
}

/// Reads `(key, location, type)`.
fn storage(value: PickleValue) -> Option<StorageView> {
    let [name, _, class] = value.elements()?[..] else {
        return None;
    };
    Some(StorageView {
        dtype: Some(storage_dtype(class)?),
        key: key(name)?,
        first: 0,
    })
}

/// Reads `(key, key of the storage, offset, length)`.
fn part_of_storage(value: PickleValue, views: &Views) -> Option<(String, StorageView)> {
    let [name, root, offset, _] = value.elements()?[..] else {
        return None;
    };
    let root = views.get(&key(root)?)?;
    let first = root.first.checked_add(offset.as_u64()?)?;
    Some((
        key(name)?,
        StorageView {
            first,
            ..root.clone()
        },
    ))
}

/// Reads the member `tensors`: how many, then a pickle and the shape of each.
fn tensors(bytes: &[u8], views: &Views) -> Indexed<HashMap<String, StridedTensor>> {
    let mut stream = Stream { bytes, at: 0 };
    let count = stream
        .pickle()?
        .root()
        .as_u64()
        .ok_or("no number of tensors")?;
    let mut tensors = HashMap::new();
    for _ in 0..count {
        let names = stream.pickle()?;
        let shape = stream.shape()?;
        let (name, tensor) = tensor(names.root(), shape, views).ok_or("a tensor is damaged")?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// Shape, strides and offset.
type StridedShape = (Vec<u64>, Vec<u64>, u64);

/// Reads `(key, key of the storage, type)`.
fn tensor(
    value: PickleValue,
    (shape, strides, offset): StridedShape,
    views: &Views,
) -> Option<(String, StridedTensor)> {
    let [name, storage, _] = value.elements()?[..] else {
        return None;
    };
    let tensor = StridedTensor {
        storage: views.get(&key(storage)?)?.clone(),
        offset,
        shape,
        strides,
    };
    Some((key(name)?, tensor))
}

impl Stream<'_> {
    /// Reads the number of dimensions, which has four bytes and four of padding, and their lengths.
    fn shape(&mut self) -> Indexed<StridedShape> {
        let dimensions = (self.number()? as u32) as usize;
        if dimensions > MOST_DIMENSIONS {
            return Err(format!("a tensor with {dimensions} dimensions"));
        }
        let shape = self.numbers(dimensions)?;
        Ok((shape, self.numbers(dimensions)?, self.number()?))
    }

    fn numbers(&mut self, count: usize) -> Indexed<Vec<u64>> {
        (0..count).map(|_| self.number()).collect()
    }
}
