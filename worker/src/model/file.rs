//! A model file, read once. The bytes that were checked are the bytes that are loaded, even if the
//! file changes meanwhile.

use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result};
use ddrs_common::architecture::find_network;
use ddrs_common::model_file::{FileKind, MAX_MODEL, kind_of};
use ddrs_common::roots::Roots;
use ddrs_common::spec::{ModelSpec, digest_to_hex};
use sha2::{Digest, Sha256};

/// The path and the content of a model file.
pub struct ModelFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl ModelFile {
    /// Reads the model of a specification. The tensors of a file of weights are checked against the
    /// architecture first. Of a safetensors file this needs the header alone, so the size of the
    /// network's weights limits how much is read.
    ///
    /// # Errors
    /// When the file is outside the roots, cannot be read, or contains another network. The error
    /// names the file.
    pub fn read(spec: &ModelSpec, roots: &Roots) -> Result<Self> {
        let wanted = spec.wanted();
        if let Some(wanted) = wanted {
            find_network(roots, &spec.path, wanted)?;
        }
        let in_file = || spec.path.display().to_string();
        let bytes = roots.read(&spec.path, MAX_MODEL).with_context(in_file)?;
        if wanted.is_none() {
            check_program(&bytes).with_context(in_file)?;
        }
        Ok(Self {
            path: spec.path.clone(),
            bytes,
        })
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content of the file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the SHA-256 of the content in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        digest_to_hex(&Sha256::digest(&self.bytes).into())
    }
}

/// Refuses a file that is no program. A damaged archive is left to the check of its members, which
/// says more.
fn check_program(bytes: &[u8]) -> Result<()> {
    let kind = kind_of(bytes);
    if matches!(kind, FileKind::Other(_)) && bytes.starts_with(b"PK") {
        return Ok(());
    }
    kind.check_program().map_err(Error::msg)
}
