//! A list of numbers in a file of arrays: `.npy`, `.npz` or safetensors, told apart by content.

use std::path::Path;

use super::DataError;
use super::array::Array;
use super::bytes::ByteRange;
use super::files::SharedFile;
use super::npy;
use super::npz::NpzArchive;
use super::tensors::TensorFile;
use crate::roots::Roots;

const ZIP: &[u8] = b"PK";

/// Reads a list of floating-point numbers: the array of this name, or the only one in the file.
/// Returns `None` if the file does not hold arrays.
///
/// # Errors
/// When the file cannot be read or is damaged, has no such array, or has one of another kind.
pub(crate) fn read_numbers(path: &Path, name: Option<&str>) -> Result<Option<Vec<f64>>, DataError> {
    let bytes = ByteRange::of_file(SharedFile::open(path, &Roots::anywhere())?);
    let array = if bytes.starts_with(npy::MAGIC) {
        npy::read_array(path, "the array".to_owned(), &bytes)?
    } else if bytes.starts_with(ZIP) {
        array_in_npz(path, &bytes, name)?
    } else if is_safetensors(&bytes) {
        let file = TensorFile::read(path, &bytes)?;
        file.array(&choose(path, name, file.names())?)?
    } else {
        return Ok(None);
    };
    array.floats().map(Some)
}

fn array_in_npz(path: &Path, bytes: &ByteRange, name: Option<&str>) -> Result<Array, DataError> {
    let mut archive = NpzArchive::open(path, bytes)?;
    let name = choose(path, name, archive.names())?;
    let member = archive.member(&name, bytes)?;
    npy::read_array(path, format!("array {name:?}"), &member)
}

/// Returns true if the bytes begin with a length and JSON.
fn is_safetensors(bytes: &ByteRange) -> bool {
    bytes.rest(8).is_some_and(|rest| rest.starts_with(b"{"))
}

/// The given name, or that of the only array.
fn choose(path: &Path, given: Option<&str>, names: Vec<String>) -> Result<String, DataError> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    <[String; 1]>::try_from(names)
        .map(|[name]| name)
        .map_err(|names| DataError::layout(path, format!("holds {names:?}; name one of them")))
}
