//! Opens the file for one program at a time, repairs it, and keeps it whole when an append fails.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use super::scan::{LineEnd, Scan, scan};
use super::{FileLine, RecordFileError};
use crate::roots::Roots;

/// A file of lines that this program alone appends to, until it is dropped.
#[derive(Debug)]
pub struct LineFile<T> {
    lines: PhantomData<T>,
    file: File,
    path: PathBuf,
    /// The length up to the last whole line that was synced.
    length: u64,
    /// True if there may be bytes after that.
    dirty: bool,
}

/// An opened file and its contents.
#[derive(Debug)]
pub struct OpenedFile<T> {
    /// The file, to append to.
    pub file: LineFile<T>,
    /// One line per key, in the order of the file.
    pub lines: Vec<T>,
    /// The number of each of them in the file, counted from 1.
    pub numbers: Vec<usize>,
    /// The repair of the last line, if it needed one.
    pub repair: Option<Repair>,
}

/// The repair of a last line that a crash left unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// The line was whole; its missing line feed was added.
    Finished,
    /// The line was a part of one, of this number of bytes, and was removed. No program had been
    /// notified that it was written.
    Removed(u64),
}

impl<T: FileLine> LineFile<T> {
    /// Opens the file, creating it if it is missing, and reads its lines. The folder must exist.
    ///
    /// # Errors
    /// When another program has it open for writing, it cannot be read or written, or a line other
    /// than a torn last one is something else or contradicts an earlier one.
    pub fn open(path: &Path) -> Result<OpenedFile<T>, RecordFileError> {
        let file = create_or_open(path).map_err(failed(path, "open it for writing"))?;
        lock(&file, path, T::WRITER)?;
        let Scan {
            lines,
            numbers,
            whole,
            end,
        } = scan(BufReader::new(&file), path)?;
        let mut file = Self {
            lines: PhantomData,
            file,
            path: path.to_owned(),
            length: whole,
            dirty: false,
        };
        let repair = file.repair(end)?;
        Ok(OpenedFile {
            file,
            lines,
            numbers,
            repair,
        })
    }

    /// Completes or removes an unfinished last line.
    fn repair(&mut self, end: LineEnd) -> Result<Option<Repair>, RecordFileError> {
        match end {
            LineEnd::LineFeed => Ok(None),
            LineEnd::Torn(bytes) => {
                self.remove_torn_line()?;
                Ok(Some(Repair::Removed(bytes)))
            }
            LineEnd::NoLineFeed => {
                self.finish_line()?;
                Ok(Some(Repair::Finished))
            }
        }
    }

    fn remove_torn_line(&mut self) -> Result<(), RecordFileError> {
        let cut = self.cut();
        cut.map_err(failed(&self.path, "cut off its torn last line"))
    }

    fn finish_line(&mut self) -> Result<(), RecordFileError> {
        let written = self.write(b"\n");
        written.map_err(failed(&self.path, "finish its last line"))
    }

    /// Appends lines. When this returns, they are on the disk.
    ///
    /// # Errors
    /// When they cannot be written and synced, e.g. on a full disk. Then none of them is in the
    /// file: the part that was written is cut off again, at the latest before the next append.
    pub fn append(&mut self, lines: &[T]) -> Result<(), RecordFileError> {
        let mut text = String::new();
        for line in lines {
            text.push_str(&line.to_line());
            text.push('\n');
        }
        self.write(text.as_bytes())
            .map_err(failed(&self.path, "append to it"))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.dirty {
            self.cut()?;
        }
        self.dirty = true;
        if let Err(error) = self.write_and_sync(bytes) {
            // The first error is reported. If cutting fails too, the next append begins with it.
            let _ = self.cut();
            return Err(error);
        }
        self.length += bytes.len() as u64;
        self.dirty = false;
        Ok(())
    }

    fn write_and_sync(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.sync_data()?;
        self.dirty = false;
        Ok(())
    }
}

/// Reads a file's lines without writing to it. Another program may be appending, so an unfinished
/// last line is left out.
///
/// # Errors
/// When it cannot be read, or a line other than a torn last one is something else or contradicts an
/// earlier one.
pub fn read_lines<T: FileLine>(path: &Path) -> Result<Vec<T>, RecordFileError> {
    Ok(read_scan(path)?.lines)
}

/// Reads a file's lines as [`read_lines`] does, each with its number in the file, counted from 1.
///
/// # Errors
/// As [`read_lines`].
pub fn read_numbered<T: FileLine>(path: &Path) -> Result<Vec<(usize, T)>, RecordFileError> {
    let Scan { lines, numbers, .. } = read_scan(path)?;
    Ok(numbers.into_iter().zip(lines).collect())
}

fn read_scan<T: FileLine>(path: &Path) -> Result<Scan<T>, RecordFileError> {
    let file = Roots::anywhere()
        .open(path)
        .map_err(failed(path, "open it"))?;
    scan(BufReader::new(file), path)
}

fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> RecordFileError {
    let path = path.to_owned();
    move |cause| RecordFileError::Io {
        path,
        action,
        cause,
    }
}

fn create_or_open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            sync_folder(path)?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open_regular(path, &options),
        Err(error) => Err(error),
    }
}

/// Opens an existing file. Refuses pipes, which may block, and devices, which may never end.
fn open_regular(path: &Path, options: &OpenOptions) -> io::Result<File> {
    Roots::anywhere().open(path)?;
    options.open(path)
}

/// Syncs the folder of a new file: only then does the file survive a crash.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn lock(file: &File, path: &Path, writer: &'static str) -> Result<(), RecordFileError> {
    // Without locks, lines are still refused when two writers disagree.
    match crate::lock_where_supported(file, path, "let one program write it at a time") {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(RecordFileError::Locked {
            path: path.to_owned(),
            writer,
        }),
        Err(TryLockError::Error(cause)) => Err(failed(path, "lock it")(cause)),
    }
}

#[cfg(test)]
impl<T> LineFile<T> {
    /// Makes every further write fail.
    pub(super) fn make_read_only(&mut self) {
        self.file = File::open(&self.path).expect("the file that is open already");
    }

    /// Simulates an append that failed and could not be cut off.
    pub(super) fn mark_dirty(&mut self) {
        self.dirty = true;
    }
}
