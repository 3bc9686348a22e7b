//! Images in a zip archive, read where they are. Their names never become paths.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use super::access::MAX_FILE;
use super::files::SharedFile;
use super::folder::hash_name;
use super::listing::{AsideReason, LeftAside, has_image_suffix, is_hidden};
use super::{DataError, Fault, MAX_SAMPLES};
use crate::domain::Class;
use crate::roots::Roots;

/// The bytes that are read at once.
const PIECE: usize = 1 << 15;

/// The images of an archive, sorted by name.
#[derive(Debug)]
pub(super) struct ZipImages {
    archive: ZipArchive<ArchiveReader>,
    members: Vec<ZipMember>,
    path: PathBuf,
}

#[derive(Debug)]
struct ZipMember {
    name: String,
    /// Its place in the archive.
    place: usize,
    size: u64,
    checksum: u32,
}

impl ZipImages {
    /// Reads the names of the members. Returns the images, and what is left aside.
    pub(super) fn open(path: &Path, roots: &Roots) -> Result<(Self, LeftAside), DataError> {
        let file = Arc::new(SharedFile::open(path, roots)?);
        let archive = ZipArchive::new(ArchiveReader::new(file));
        let archive = archive.map_err(|error| not_zip(path, &error))?;
        let mut images = Self {
            archive,
            members: Vec::new(),
            path: path.to_owned(),
        };
        let aside = images.list()?;
        images.members.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        images.check()?;
        Ok((images, aside))
    }

    fn list(&mut self) -> Result<LeftAside, DataError> {
        let mut aside = LeftAside::default();
        for place in 0..self.archive.len() {
            let member = self.archive.by_index_raw(place);
            let member = member.map_err(|error| damaged(&self.path, &error))?;
            if member.is_dir() {
                continue;
            }
            match reason(member.name()) {
                Some(reason) => aside.add(reason, member.name().to_owned()),
                None => self.members.push(ZipMember::new(place, &member)),
            }
        }
        Ok(aside)
    }

    /// Refuses a name that two members have, and an archive without images.
    fn check(&self) -> Result<(), DataError> {
        let mut pairs = self.members.windows(2);
        if let Some(pair) = pairs.find(|pair| pair[0].name == pair[1].name) {
            let what = format!("holds {:?} twice", pair[0].name);
            return Err(DataError::layout(&self.path, what));
        }
        if self.members.is_empty() {
            return Err(DataError::layout(&self.path, "holds no image"));
        }
        if self.members.len() as u64 > MAX_SAMPLES {
            return Err(DataError::layout(&self.path, "holds too many files"));
        }
        Ok(())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.members
            .iter()
            .map(|member| member.name.clone())
            .collect()
    }

    /// The name of an image after that of the archive, for messages.
    pub(super) fn label_path(&self, place: usize) -> PathBuf {
        let name = &self.members[place].name;
        PathBuf::from(format!("{}/{name}", self.path.display()))
    }

    /// Reads the file of an image.
    pub(super) fn read(&self, place: usize) -> Result<Vec<u8>, Fault> {
        let member = &self.members[place];
        let mut archive = self.archive.clone();
        let file = archive.by_index(member.place).map_err(zip_fault)?;
        let size = file.size();
        if size > MAX_FILE {
            return Err(Fault::Damaged(format!(
                "{size} bytes are more than the {MAX_FILE} allowed"
            )));
        }
        let mut bytes = Vec::new();
        file.take(size + 1)
            .read_to_end(&mut bytes)
            .map_err(read_fault)?;
        if bytes.len() as u64 == size {
            Ok(bytes)
        } else {
            Err(Fault::Damaged(
                "has another length than the archive says".to_owned(),
            ))
        }
    }

    /// SHA-256 of names, lengths, checksums and labels.
    pub(super) fn digest(&self, labels: &[Class]) -> [u8; 32] {
        let mut sha = Sha256::new();
        sha.update(b"ddrs zip listing 1\n");
        sha.update((self.members.len() as u64).to_le_bytes());
        for (member, label) in self.members.iter().zip(labels) {
            hash_name(&mut sha, member.name.as_ref());
            sha.update(member.size.to_le_bytes());
            sha.update(member.checksum.to_le_bytes());
            sha.update(label.0.to_le_bytes());
        }
        sha.finalize().into()
    }
}

impl ZipMember {
    fn new(place: usize, file: &ZipFile) -> Self {
        Self {
            name: file.name().to_owned(),
            place,
            size: file.size(),
            checksum: file.crc32(),
        }
    }
}

/// The reason for leaving a member aside; `None` for images.
fn reason(name: &str) -> Option<AsideReason> {
    let mut parts = name.split('/').rev();
    let file = parts.next().unwrap_or(name);
    if parts.any(|folder| is_hidden(folder.as_ref())) {
        Some(AsideReason::HiddenFolder)
    } else if is_hidden(file.as_ref()) {
        Some(AsideReason::HiddenFile)
    } else {
        (!has_image_suffix(file.as_ref())).then_some(AsideReason::OtherSuffix)
    }
}

fn not_zip(path: &Path, error: &ZipError) -> DataError {
    let what = format!("is neither a folder nor a zip archive: {error}");
    DataError::layout(path, what)
}

fn damaged(path: &Path, error: &ZipError) -> DataError {
    DataError::layout(path, format!("a damaged zip archive: {error}"))
}

fn zip_fault(error: ZipError) -> Fault {
    match error {
        ZipError::Io(error) => read_fault(error),
        other => Fault::Damaged(other.to_string()),
    }
}

/// Tells failures of the system, which have a number, from those of the archive.
fn read_fault(error: io::Error) -> Fault {
    if error.raw_os_error().is_some() {
        Fault::Io(error)
    } else {
        Fault::Damaged(error.to_string())
    }
}

/// A reader of a shared file with its own position, and the piece of the file around it.
#[derive(Debug, Clone)]
struct ArchiveReader {
    file: Arc<SharedFile>,
    position: u64,
    piece: Vec<u8>,
    piece_start: u64,
}

impl ArchiveReader {
    fn new(file: Arc<SharedFile>) -> Self {
        Self {
            file,
            position: 0,
            piece: Vec::new(),
            piece_start: 0,
        }
    }

    /// The bytes of the piece from the position on.
    fn buffered(&self) -> &[u8] {
        let offset = self.position.checked_sub(self.piece_start);
        let offset = offset.and_then(|offset| usize::try_from(offset).ok());
        offset
            .and_then(|offset| self.piece.get(offset..))
            .unwrap_or(&[])
    }

    fn fill(&mut self) -> io::Result<()> {
        self.piece.resize(PIECE, 0);
        self.piece_start = self.position;
        let count = self.file.read_at(&mut self.piece, self.position)?;
        self.piece.truncate(count);
        Ok(())
    }
}

impl Read for ArchiveReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.buffered().is_empty() {
            self.fill()?;
        }
        let count = self.buffered().read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for ArchiveReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.file.len().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
#[path = "tests/archive.rs"]
pub(super) mod tests;
