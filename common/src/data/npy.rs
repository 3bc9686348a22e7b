//! The header of a `.npy` file: type, order and shape of NumPy's array after it.

use std::path::Path;

use super::DataError;
use super::array::{Array, ArrayParts, ByteOrder, ElementType};
use super::bytes::ByteRange;

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that is read. NumPy refuses longer ones as well, unless told to trust them.
const MAX_HEADER: usize = 10_000;

/// Reads the array in `bytes`, a whole `.npy` file, under a name for messages.
pub(super) fn read_array(path: &Path, name: String, bytes: &ByteRange) -> Result<Array, DataError> {
    let refuse = |what: String| DataError::layout(path, format!("{name} {what}"));
    let (text, data) = header(bytes)
        .map_err(DataError::io(path))?
        .map_err(refuse)?;
    let NpyHeader {
        element,
        order,
        shape,
    } = parse(&text).map_err(refuse)?;
    let rest = bytes.rest(data);
    let bytes = rest.ok_or_else(|| refuse("is cut short".to_owned()))?;
    Array::new(
        path,
        ArrayParts {
            name,
            bytes,
            element,
            order,
            shape,
        },
    )
}

type HeaderText = Result<(String, u64), String>;

/// Reads the text of the header, and returns it with the offset of the data.
fn header(bytes: &ByteRange) -> std::io::Result<HeaderText> {
    let most = bytes.len().min((12 + MAX_HEADER) as u64) as usize;
    let start = bytes.read(0, most)?;
    Ok(header_in(&start))
}

fn header_in(start: &[u8]) -> HeaderText {
    let not_npy = || "is not a .npy array".to_owned();
    let rest = start.strip_prefix(MAGIC).ok_or_else(not_npy)?;
    let (length, offset) = match *rest {
        [1, _, a, b, ..] => (usize::from(u16::from_le_bytes([a, b])), 10),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([a, b, c, d]) as usize, 12),
        _ => return Err("has an unknown version of .npy, or is cut short".to_owned()),
    };
    if length > MAX_HEADER {
        return Err(format!(
            "has a header of {length} bytes, more than the {MAX_HEADER} allowed"
        ));
    }
    let text = start.get(offset..offset + length);
    let text = text.ok_or("is cut short in its header")?;
    Ok((
        String::from_utf8_lossy(text).into_owned(),
        (offset + length) as u64,
    ))
}

/// The facts in a header.
#[derive(Debug, PartialEq)]
struct NpyHeader {
    element: ElementType,
    order: ByteOrder,
    shape: Vec<usize>,
}

/// Parses the header, a Python dictionary of three keys.
fn parse(text: &str) -> Result<NpyHeader, String> {
    let descr = value(text, "descr")?;
    let (element, order) = element(descr)?;
    if value(text, "fortran_order")?.starts_with("True") {
        let what = "is in column-major order; save numpy.ascontiguousarray of it";
        return Err(what.to_owned());
    }
    Ok(NpyHeader {
        element,
        order,
        shape: shape(value(text, "shape")?)?,
    })
}

/// The text after a key of the dictionary.
fn value<'t>(text: &'t str, key: &str) -> Result<&'t str, String> {
    let quoted = ["'", "\""].map(|quote| format!("{quote}{key}{quote}"));
    let found = quoted.iter().find_map(|key| text.split_once(key.as_str()));
    let value = found.and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
    value
        .map(str::trim_start)
        .ok_or_else(|| format!("has a header without {key:?}"))
}

fn element(descr: &str) -> Result<(ElementType, ByteOrder), String> {
    let quoted = descr.strip_prefix(['\'', '"']);
    let word = quoted.and_then(|rest| rest.split(['\'', '"']).next());
    let Some(word) = word else {
        return Err("has records of several types, not one number per place".to_owned());
    };
    let (order, kind) = split_order(word);
    let element = match kind {
        "u1" => ElementType::U8,
        "i1" => ElementType::I8,
        "u2" => ElementType::U16,
        "i2" => ElementType::I16,
        "u4" => ElementType::U32,
        "i4" => ElementType::I32,
        "u8" => ElementType::U64,
        "i8" => ElementType::I64,
        "f2" => ElementType::F16,
        "f4" => ElementType::F32,
        "f8" => ElementType::F64,
        _ => return Err(unsupported(word, kind)),
    };
    Ok((element, order))
}

fn unsupported(word: &str, kind: &str) -> String {
    if kind.starts_with('O') {
        "holds Python objects, not numbers; save it as an array of one type".to_owned()
    } else {
        format!("has elements of type {word:?}, which are not supported")
    }
}

fn split_order(word: &str) -> (ByteOrder, &str) {
    match word.strip_prefix('>') {
        Some(kind) => (ByteOrder::Big, kind),
        None => (ByteOrder::Little, word.trim_start_matches(['<', '|', '='])),
    }
}

/// Parses a tuple of whole numbers, such as `(10, 3, 32, 32)`, `(10,)` or `()`.
fn shape(text: &str) -> Result<Vec<usize>, String> {
    let inside = text.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let (inside, _) = inside.ok_or("has a header with a damaged shape")?;
    let sizes = inside
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty());
    // Python 2 wrote long numbers with an `L`.
    let sizes = sizes.map(|size| size.trim_end_matches('L').parse());
    sizes
        .collect::<Result<_, _>>()
        .map_err(|_| "has a header with a damaged shape".to_owned())
}

#[cfg(test)]
#[path = "tests/npy.rs"]
mod tests;
