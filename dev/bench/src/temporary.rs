//! A folder for what measurements write; removed at the end.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A folder that is removed when it is dropped.
pub(crate) struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    /// Creates a folder for one purpose of this process.
    pub(crate) fn create(purpose: &str) -> Result<Self> {
        let name = format!("ddrs-{purpose}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What stays behind lies in the system's temporary folder.
        std::fs::remove_dir_all(&self.0).ok();
    }
}
