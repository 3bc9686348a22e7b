//! Checkpoints as a stream: five pickles, then the storages.

use std::borrow::Cow;
use std::collections::HashMap;

use super::storage::StoragePlace;
use super::tensor::StorageView;
use super::{Indexed, OpenContainer, check_byte_order, key, read_pickle};
use crate::pickle::{Pickle, PickleValue};

pub(super) fn open(bytes: &[u8]) -> Indexed<(Cow<'_, [u8]>, OpenContainer)> {
    let mut stream = Stream { bytes, at: 0 };
    // The magic number and the version of the format.
    stream.pickle()?;
    stream.pickle()?;
    let system = stream.pickle()?;
    let order = system
        .root()
        .get("little_endian")
        .and_then(PickleValue::as_bool);
    check_byte_order(order != Some(false))?;
    let start = stream.at;
    let content = stream.pickle()?;
    let keys = stream.pickle()?;
    let open = OpenContainer {
        storages: stream.storages(&keys, &views(&content))?,
        tensors: HashMap::new(),
    };
    Ok((Cow::Borrowed(&bytes[start..]), open))
}

/// The storages that a pickle refers to, by key.
fn views(pickle: &Pickle) -> HashMap<String, StorageView> {
    let views = pickle.persistent_ids().filter_map(StorageView::read);
    views.map(|view| (view.key.clone(), view)).collect()
}

/// Pickles and storages one after the other.
pub(super) struct Stream<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Stream<'a> {
    pub(super) fn pickle(&mut self) -> Indexed<Pickle<'a>> {
        let pickle = read_pickle(self.bytes.get(self.at..).unwrap_or_default())?;
        self.at += pickle.length();
        Ok(pickle)
    }

    pub(super) fn take(&mut self, length: u64) -> Indexed<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = usize::try_from(length)
            .ok()
            .and_then(|length| rest.get(..length));
        let taken = taken.ok_or("the file is cut off")?;
        self.at += taken.len();
        Ok(taken)
    }

    pub(super) fn number(&mut self) -> Indexed<u64> {
        let mut number = [0; 8];
        number.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(number))
    }

    fn storages(
        &mut self,
        keys: &Pickle,
        views: &HashMap<String, StorageView>,
    ) -> Indexed<HashMap<String, StoragePlace>> {
        let keys = keys.root().elements().unwrap_or_default().into_iter();
        keys.map(|value| {
            let key = key(value).ok_or("a storage without a key")?;
            let view = views
                .get(&key)
                .ok_or_else(|| format!("storage {key} is unknown"))?;
            Ok((key, self.storage(view)?))
        })
        .collect()
    }

    /// Reads the length of a storage in elements, and skips its bytes.
    pub(super) fn storage(&mut self, view: &StorageView) -> Indexed<StoragePlace> {
        let elements = self.number()?;
        let length = view.bytes(elements).ok_or("a storage is too long")?;
        let start = self.at as u64;
        self.take(length)?;
        Ok(StoragePlace::Bytes {
            range: start..start + length,
            checksum: None,
        })
    }
}
