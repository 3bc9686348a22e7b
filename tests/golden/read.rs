//! Reads the references of this folder, for the tests of every crate that includes this file.
//!
//! A reference that is missing fails the test that asks for it.

use std::fs;
use std::path::{Path, PathBuf};

/// The path of a file in `tests/golden`.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden")
        .join(name)
}

/// Reads a JSON file in `tests/golden`.
pub(crate) fn json(name: &str) -> serde_json::Value {
    let path = path(name);
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{} is not JSON: {error}", path.display()))
}
