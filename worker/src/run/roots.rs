//! The paths that a worker may open. The specification in Redis names files; whoever can write to Redis must not be
//! able to read the rest of this machine through a worker.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Folders or files, links resolved, under which everything that is opened must lie.
#[derive(Debug, Clone)]
pub struct Roots(Vec<PathBuf>);

impl Roots {
    /// Resolves the roots; none given means the current folder.
    ///
    /// # Errors
    /// When one does not exist.
    pub fn new(given: &[PathBuf]) -> Result<Self> {
        let here = [PathBuf::from(".")];
        let given = if given.is_empty() { &here[..] } else { given };
        let resolve = |path: &PathBuf| fs::canonicalize(path).with_context(|| format!("--root {}", path.display()));
        given.iter().map(resolve).collect::<Result<_>>().map(Self)
    }

    /// Checks one path, links resolved.
    ///
    /// # Errors
    /// When it does not exist or lies outside.
    pub fn check(&self, path: &Path) -> Result<()> {
        let resolved = fs::canonicalize(path).with_context(|| format!("cannot open {}", path.display()))?;
        if self.0.iter().any(|root| resolved.starts_with(root)) {
            return Ok(());
        }
        let roots: Vec<String> = self.0.iter().map(|root| root.display().to_string()).collect();
        bail!(
            "{} is outside what this worker may open ({}); start it with --root",
            resolved.display(),
            roots.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_lies_under_a_root_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
        for folder in [&inside, &outside] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), "").unwrap();
        }
        std::os::unix::fs::symlink(outside.join("file"), inside.join("link")).unwrap();
        let roots = Roots::new(std::slice::from_ref(&inside)).unwrap();
        roots.check(&inside.join("file")).unwrap();
        for bad in [outside.join("file"), inside.join("link"), inside.join("../out/file"), inside.join("none")] {
            assert!(roots.check(&bad).is_err(), "{}", bad.display());
        }
    }

    #[test]
    fn a_sibling_with_the_same_beginning_is_outside() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["data", "data-secret"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let roots = Roots::new(&[dir.path().join("data")]).unwrap();
        assert!(roots.check(&dir.path().join("data-secret")).is_err());
    }
}
