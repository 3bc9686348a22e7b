//! Writes safetensors files.

use std::io;
use std::path::Path;

use safetensors::Dtype;
use serde_json::{Map, Value, json};

/// A tensor to write.
pub struct NewTensor {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub dtype: Dtype,
    /// The length of each dimension.
    pub shape: Vec<u64>,
    /// The values, little-endian and in row-major order.
    pub bytes: Vec<u8>,
}

/// Writes a safetensors file in one step. The same content always gives the same bytes, since a
/// model is identified by the digest of its file.
///
/// # Errors
/// When the file cannot be written.
pub fn write_safetensors(
    path: &Path,
    tensors: &[NewTensor],
    metadata: &[(&str, String)],
) -> io::Result<()> {
    let mut header = header(tensors, metadata).to_string();
    // Tensors begin at a multiple of 8.
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    for tensor in tensors {
        bytes.extend(&tensor.bytes);
    }
    crate::replace(path, &bytes)
}

fn header(tensors: &[NewTensor], metadata: &[(&str, String)]) -> Value {
    let mut header = Map::new();
    let metadata = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)));
    header.insert("__metadata__".to_owned(), Value::Object(metadata.collect()));
    let mut start = 0;
    for tensor in tensors {
        let end = start + tensor.bytes.len();
        let (dtype, shape) = (tensor.dtype, &tensor.shape);
        let facts = json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]});
        header.insert(tensor.name.clone(), facts);
        start = end;
    }
    Value::Object(header)
}
