//! Limits the files that a program may open. The specification in Redis names files, and a client
//! that can write to Redis must not be able to read the rest of a machine through its worker.
//!
//! A path is checked by the file that it leads to, not by its text: the file is opened first, and
//! then the kernel tells where the open file lies. Changing a link between a check and the opening
//! therefore gains nothing.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Folders or files, links resolved, under which every opened file must lie; or no such limit.
#[derive(Debug, Clone)]
pub struct Roots(Option<Arc<[PathBuf]>>);

impl Roots {
    /// No limit, for files that the user of this program has named.
    #[must_use]
    pub fn anywhere() -> Self {
        Self(None)
    }

    /// Resolves the roots.
    ///
    /// # Errors
    /// When one does not exist.
    pub fn under(roots: &[PathBuf]) -> io::Result<Self> {
        roots
            .iter()
            .map(fs::canonicalize)
            .collect::<io::Result<_>>()
            .map(|roots| Self(Some(roots)))
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// When it does not exist, lies outside, or is not a regular file: a pipe may block, a device
    /// may never end.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        check_regular(&fs::metadata(path)?)?;
        let file = File::open(path)?;
        // Checked again, since the path may lead to another file now.
        check_regular(&file.metadata()?)?;
        if self.0.is_some() {
            self.check_resolved(&opened_path(&file)?)?;
        }
        Ok(file)
    }

    /// Reads a whole file of at most `most` bytes. It never takes more memory, whatever length the
    /// file claims.
    ///
    /// # Errors
    /// As [`Self::open`], and [`io::ErrorKind::FileTooLarge`].
    pub fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        let file = self.open(path)?;
        let length = file.metadata()?.len();
        check_length(length, most)?;
        let mut bytes = Vec::with_capacity(length as usize);
        // The file may grow while it is read.
        file.take(most + 1).read_to_end(&mut bytes)?;
        check_length(bytes.len() as u64, most)?;
        Ok(bytes)
    }

    /// Checks where a path leads now, links resolved. Opening a file checks again.
    ///
    /// # Errors
    /// When it does not exist or lies outside.
    pub fn check(&self, path: &Path) -> io::Result<()> {
        if self.0.is_some() {
            self.check_resolved(&fs::canonicalize(path)?)
        } else {
            Ok(())
        }
    }

    fn check_resolved(&self, resolved: &Path) -> io::Result<()> {
        match &self.0 {
            Some(roots) if !roots.iter().any(|root| resolved.starts_with(root)) => {
                Err(outside(resolved, roots))
            }
            _ => Ok(()),
        }
    }
}

/// The path of an open file, as the kernel knows it.
fn opened_path(file: &File) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn outside(resolved: &Path, roots: &[PathBuf]) -> io::Error {
    let roots: Vec<String> = roots
        .iter()
        .map(|root| root.display().to_string())
        .collect();
    let reason = format!(
        "{} is outside what this worker may open ({}); start it with --root",
        resolved.display(),
        roots.join(", ")
    );
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}

fn check_length(length: u64, most: u64) -> io::Result<()> {
    if length <= most {
        return Ok(());
    }
    let reason = format!("its {length} bytes are more than the {most} allowed");
    Err(io::Error::new(io::ErrorKind::FileTooLarge, reason))
}

fn check_regular(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let reason = "not a regular file";
    Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Two folders in one, each with a file, and roots that allow the first.
    fn folders() -> (tempfile::TempDir, PathBuf, PathBuf, Roots) {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("in");
        let outside = dir.path().join("out");
        for (folder, text) in [(&inside, "in"), (&outside, "secret")] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), text).unwrap();
        }
        let roots = Roots::under(std::slice::from_ref(&inside)).unwrap();
        (dir, inside, outside, roots)
    }

    #[test]
    fn only_what_lies_under_a_root_is_opened() {
        let (_dir, inside, outside, roots) = folders();
        symlink(outside.join("file"), inside.join("link")).unwrap();
        symlink(&outside, inside.join("folder")).unwrap();
        symlink("file", inside.join("own")).unwrap();
        for good in ["file", "own", "../in/file"] {
            roots.check(&inside.join(good)).unwrap();
            assert_eq!(roots.read(&inside.join(good), 10).unwrap(), b"in");
        }
        for bad in [
            outside.join("file"),
            inside.join("link"),
            inside.join("folder/file"),
            inside.join("../out/file"),
        ] {
            for error in [
                roots.check(&bad).unwrap_err(),
                roots.open(&bad).unwrap_err(),
            ] {
                let error = error.to_string();
                assert!(
                    error.contains("out/file is outside what this worker may open"),
                    "{error}"
                );
            }
            assert!(Roots::anywhere().open(&bad).is_ok());
        }
        assert!(roots.open(&inside.join("none")).is_err());
    }

    #[test]
    fn a_sibling_with_the_same_beginning_is_outside() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["data", "data-secret"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let roots = Roots::under(&[dir.path().join("data")]).unwrap();
        assert!(roots.check(&dir.path().join("data-secret")).is_err());
    }

    #[test]
    fn a_link_that_changes_all_the_time_never_leads_outside() {
        let (_dir, inside, outside, roots) = folders();
        let (link, other) = (inside.join("link"), inside.join("other"));
        symlink("file", &link).unwrap();
        let (stop, mut refused, mut read) = (AtomicBool::new(false), 0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for target in [outside.join("file"), inside.join("file")] {
                        symlink(target, &other).unwrap();
                        fs::rename(&other, &link).unwrap();
                    }
                }
            });
            while refused < 200 || read < 200 {
                match roots.read(&link, 10) {
                    Ok(bytes) => {
                        assert_eq!(bytes, b"in");
                        read += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn pipes_and_devices_are_not_waited_for() {
        let (_dir, inside, _outside, _) = folders();
        let pipe = inside.join("pipe");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        for path in [pipe.as_path(), Path::new("/dev/zero"), &inside] {
            assert_eq!(
                Roots::anywhere().open(path).unwrap_err().to_string(),
                "not a regular file"
            );
        }
    }

    #[test]
    fn a_file_larger_than_allowed_takes_no_memory() {
        let (_dir, inside, _outside, roots) = folders();
        File::create(inside.join("huge"))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        let error = roots.read(&inside.join("huge"), 1000).unwrap_err();
        assert_eq!(
            error.to_string(),
            "its 1099511627776 bytes are more than the 1000 allowed"
        );
        assert_eq!(roots.read(&inside.join("file"), 2).unwrap(), b"in");
        assert!(roots.read(&inside.join("file"), 1).is_err());
    }
}
