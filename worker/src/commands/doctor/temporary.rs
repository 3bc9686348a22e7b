//! A folder for the model files that `doctor` tries.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// A temporary folder, removed when it is dropped.
pub(super) struct DoctorFolder(PathBuf);

impl DoctorFolder {
    /// Creates the folder. Each call in a process uses another name.
    pub(super) fn create() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "ddrs-doctor-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    /// Returns its path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for DoctorFolder {
    fn drop(&mut self) {
        // If it cannot be removed, the system removes it with the other temporary files.
        std::fs::remove_dir_all(&self.0).ok();
    }
}
