//! Reads the pickled batches of CIFAR, as rows in the binary form.

use super::{CifarKind, PIXELS};
use crate::pickle::{NUMPY_CONSTRUCTORS, NumpyArray, Pickle, PickleRules, PickleValue};

/// The first byte of a pickle. It is not the first of a binary file, which is a label.
pub(super) const MAGIC: &[u8] = b"\x80";

/// More objects than the published files have: a label and a file name per image.
const MOST_OBJECTS: usize = 4_000_000;

/// Converts a pickled batch to rows.
pub(super) fn rows(bytes: &[u8], kind: CifarKind) -> Result<Vec<u8>, String> {
    let rules = PickleRules {
        callable: &NUMPY_CONSTRUCTORS,
        keeps_instances: false,
        most_objects: MOST_OBJECTS,
    };
    let batch = Pickle::read(bytes, rules).map_err(|error| error.to_string())?;
    let batch = batch.root();
    let pixels = pixels(batch)?;
    let labels = labels(batch, kind, pixels.len() / PIXELS)?;
    Ok(join(&labels, &pixels))
}

/// The value under a key, which Python 2 writes as text and Python 3 as text or as bytes.
fn value<'p>(batch: PickleValue<'p>, key: &str) -> Option<PickleValue<'p>> {
    let entries = batch.entries()?.into_iter();
    entries
        .rev()
        .find_map(|(found, value)| is_text(found, key).then_some(value))
}

fn is_text(value: PickleValue, text: &str) -> bool {
    let bytes = value.as_bytes();
    value.as_text() == Some(text) || bytes.as_deref() == Some(text.as_bytes())
}

/// Puts the labels of each image before its pixels.
fn join(labels: &[Vec<u8>], pixels: &[u8]) -> Vec<u8> {
    let mut rows = Vec::with_capacity(pixels.len() + labels.iter().map(Vec::len).sum::<usize>());
    for (row, pixels) in pixels.chunks_exact(PIXELS).enumerate() {
        rows.extend(labels.iter().map(|labels| labels[row]));
        rows.extend_from_slice(pixels);
    }
    rows
}

/// The pixels of all images, one after another.
fn pixels(batch: PickleValue) -> Result<Vec<u8>, String> {
    let data = value(batch, "data").ok_or("the pickle has no \"data\"")?;
    let array = data.as_numpy_array();
    let array = array.ok_or("\"data\" of the pickle is not an array of numpy")?;
    let NumpyArray {
        shape,
        kind,
        is_fortran,
        bytes,
        ..
    } = array;
    let count = (bytes.len() / PIXELS) as u64;
    let fits = shape == [count, PIXELS as u64] && bytes.len().is_multiple_of(PIXELS);
    if kind != "u1" || !fits {
        let length = bytes.len();
        let found = format!("{kind} {shape:?} in {length} bytes");
        return Err(format!(
            "\"data\" of the pickle is {found}, not u1 [N, {PIXELS}]"
        ));
    }
    Ok(if is_fortran {
        transposed(&bytes, count as usize)
    } else {
        bytes.into_owned()
    })
}

/// Converts from the order in which the first index changes fastest.
fn transposed(bytes: &[u8], count: usize) -> Vec<u8> {
    let row = |row: usize| bytes.iter().skip(row).step_by(count);
    (0..count).flat_map(row).copied().collect()
}

/// The labels in the order of the binary form.
fn labels(batch: PickleValue, kind: CifarKind, images: usize) -> Result<Vec<Vec<u8>>, String> {
    let keys: &[&str] = match kind {
        CifarKind::Ten => &["labels"],
        CifarKind::Hundred => &["coarse_labels", "fine_labels"],
    };
    let lists = keys.iter().map(|key| label_list(batch, key, images));
    lists.collect()
}

fn label_list(batch: PickleValue, key: &str, images: usize) -> Result<Vec<u8>, String> {
    let list = value(batch, key).and_then(PickleValue::elements);
    let list = list.ok_or_else(|| format!("the pickle has no list {key:?}"))?;
    let number = |label: PickleValue| u8::try_from(label.as_int()?).ok();
    let labels: Option<Vec<u8>> = list.into_iter().map(number).collect();
    let labels = labels.ok_or_else(|| format!("{key:?} of the pickle holds other than labels"))?;
    if labels.len() == images {
        return Ok(labels);
    }
    let found = labels.len();
    Err(format!(
        "{key:?} of the pickle holds {found} labels for {images} images"
    ))
}
