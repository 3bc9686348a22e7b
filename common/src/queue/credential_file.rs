//! Files of credentials: their bytes, and the sections that PEM files must have.

use std::path::Path;

use super::error::QueueError;
use crate::bounded;

/// The section that a PEM file must have.
#[derive(Clone, Copy)]
pub(super) enum PemSection {
    Certificate,
    PrivateKey,
}

impl PemSection {
    fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::PrivateKey => "private key",
        }
    }

    fn begins_at(self, line: &[u8]) -> bool {
        let end: &[u8] = match self {
            Self::Certificate => b"BEGIN CERTIFICATE-----",
            Self::PrivateKey => b"PRIVATE KEY-----",
        };
        line.starts_with(b"-----BEGIN ") && line.trim_ascii_end().ends_with(end)
    }
}

/// Reads a PEM file that must have such a section: the TLS library takes a file without one for an
/// empty file.
pub(super) fn read_pem(file: &Path, section: PemSection) -> Result<Vec<u8>, QueueError> {
    let bytes = read(file)?;
    let mut lines = bytes.split(|&byte| byte == b'\n');
    if lines.any(|line| section.begins_at(line)) {
        return Ok(bytes);
    }
    let reason = format!("holds no {} in PEM", section.name());
    Err(QueueError::credentials(file.display(), reason))
}

/// Reads a small file of credentials.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, QueueError> {
    bounded::read(file, 1 << 20).map_err(|error| QueueError::credentials(file.display(), error))
}
