//! A model file, read once: the bytes that were checked are the bytes that are loaded, whatever
//! happens to the file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ddrs_common::architecture::check_model_under;
use ddrs_common::roots::Roots;
use ddrs_common::spec::{ModelSource, ModelSpec, digest_to_hex};
use sha2::{Digest, Sha256};

/// The longest model file that is read.
const MAX_MODEL: u64 = 8 << 30;

/// The bytes of a model file, and its name.
pub struct ModelFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl ModelFile {
    /// Reads the model of a specification. Of a safetensors file the header is held against the
    /// architecture first, so no more is read than the network's weights.
    ///
    /// # Errors
    /// When the file lies outside the roots, cannot be read, or holds another network; names the
    /// file.
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

    /// The file's name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its content.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of its content, hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        digest_to_hex(&Sha256::digest(&self.bytes).into())
    }
}
