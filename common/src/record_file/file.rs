//! The file: opened by one program at a time, repaired on opening, and whole after every append
//! that failed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use super::scan::{End, Scan, scan};
use super::{RecordFileError, to_line};
use crate::domain::Record;
use crate::roots::Roots;

/// A file of records that this program alone appends to, until it is dropped.
#[derive(Debug)]
pub struct RecordFile {
    file: File,
    path: PathBuf,
    /// Where the last whole line ends that was synced.
    length: u64,
    /// Whether there may be something after that.
    dirty: bool,
}

/// What opening a file found.
#[derive(Debug)]
pub struct Opened {
    /// The file, to append to.
    pub file: RecordFile,
    /// One record a sample, in the order of the file.
    pub records: Vec<Record>,
    /// What had to be done to the last line.
    pub repair: Option<Repair>,
}

/// What was done to a last line that a crash had left unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It was a whole record and got the line feed that it lacked.
    Finished,
    /// It was part of a record, of so many bytes, and was cut off. Nobody was told that it had been
    /// written.
    Removed(u64),
}

impl RecordFile {
    /// Opens the file, creates it where there is none, and reads what it holds. The folder must
    /// exist.
    ///
    /// # Errors
    /// When another program has it open so, it cannot be read or written, or a line other than a
    /// torn last one is no record or contradicts an earlier one.
    pub fn open(path: &Path) -> Result<Opened, RecordFileError> {
        let file = create_or_open(path).map_err(failed(path, "open it for writing"))?;
        lock(&file, path)?;
        let Scan {
            records,
            whole,
            end,
        } = scan(BufReader::new(&file), path)?;
        let mut file = Self {
            file,
            path: path.to_owned(),
            length: whole,
            dirty: false,
        };
        let repair = match end {
            End::Clean => None,
            End::Torn(bytes) => {
                file.cut()
                    .map_err(failed(path, "cut off its torn last line"))?;
                Some(Repair::Removed(bytes))
            }
            End::NoLineFeed => {
                file.write(b"\n")
                    .map_err(failed(path, "finish its last line"))?;
                Some(Repair::Finished)
            }
        };
        Ok(Opened {
            file,
            records,
            repair,
        })
    }

    /// Appends records. When this returns, they are on the disk.
    ///
    /// # Errors
    /// When they cannot be written and synced, on a full disk for one. Then none of them is in the
    /// file, or will be before the next append that succeeds: what was written of them is cut off
    /// again.
    pub fn append(&mut self, records: &[Record]) -> Result<(), RecordFileError> {
        let mut text = String::new();
        for record in records {
            text.push_str(&to_line(record));
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
        if let Err(error) = self
            .file
            .write_all(bytes)
            .and_then(|()| self.file.sync_data())
        {
            // The first error is the one to tell; where cutting fails too, the next append begins
            // with it.
            let _ = self.cut();
            return Err(error);
        }
        self.length += bytes.len() as u64;
        self.dirty = false;
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.sync_data()?;
        self.dirty = false;
        Ok(())
    }
}

/// Reads a file's records without writing to it, while another program may be appending: an
/// unfinished last line is left out.
///
/// # Errors
/// When it cannot be read, or a line other than a torn last one is no record or contradicts an
/// earlier one.
pub fn read(path: &Path) -> Result<Vec<Record>, RecordFileError> {
    let file = Roots::anywhere()
        .open(path)
        .map_err(failed(path, "open it"))?;
    Ok(scan(BufReader::new(file), path)?.records)
}

fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> RecordFileError {
    let path = path.to_owned();
    move |cause| RecordFileError::Io {
        path,
        action,
        cause,
    }
}

/// A file that is new is in its folder for good only once the folder is synced.
fn create_or_open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A pipe would be waited for, a device never ends.
            Roots::anywhere().open(path)?;
            options.open(path)
        }
        Err(error) => Err(error),
    }
}

fn lock(file: &File, path: &Path) -> Result<(), RecordFileError> {
    // Without locks, records are still refused when two writers disagree.
    match crate::lock_where_supported(file, path, "let one coordinator collect at a time") {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(RecordFileError::Locked {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(cause)) => Err(failed(path, "lock it")(cause)),
    }
}

#[cfg(test)]
impl RecordFile {
    /// As if the disk refused every further write.
    pub(super) fn make_read_only(&mut self) {
        self.file = File::open(&self.path).expect("the file that is open already");
    }

    /// As if an append had failed, and cutting it off too.
    pub(super) fn mark_dirty(&mut self) {
        self.dirty = true;
    }
}
