//! A model file, read once. The bytes that were checked are the bytes that are loaded, even if the
//! file changes meanwhile.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ddrs_common::architecture::check_model_under;
use ddrs_common::roots::Roots;
use ddrs_common::spec::{ModelSource, ModelSpec, digest_to_hex};
use sha2::{Digest, Sha256};

/// The size of the largest model file that is read.
const MAX_MODEL: u64 = 8 << 30;

/// The path and the content of a model file.
pub struct ModelFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl ModelFile {
    /// Reads the model of a specification. The header of a safetensors file is checked against the
    /// architecture first, so the size of the network's weights limits how much is read.
    ///
    /// # Errors
    /// When the file is outside the roots, cannot be read, or contains another network. The error
    /// names the file.
    pub fn read(spec: &ModelSpec, roots: &Roots) -> Result<Self> {
        if let ModelSource::Safetensors(architecture) = spec.source {
            check_model_under(roots, &spec.path, architecture, spec.classes)?;
        }
        let bytes = roots
            .read(&spec.path, MAX_MODEL)
            .with_context(|| spec.path.display().to_string())?;
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
