//! Image folders: one folder per class.
//!
//! The index counts class folders sorted by name, then the `.jpg`, `.jpeg` and `.png` files in each
//! sorted by name, in byte order. A label is the folder's place among the sorted folders, or its
//! line in a `classes` file.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::access::{folder_behind, read_sample};
use super::decode::{Rgb, decode};
use super::{DataError, Fault};
use crate::domain::Class;
use crate::roots::Roots;

/// The largest `classes` file: a million names of usual length.
const MAX_CLASSES_FILE: u64 = 64 << 20;
/// The length in the digest of a file whose length cannot be read.
const NO_LENGTH: u64 = u64::MAX;

/// The listing of an image folder.
#[derive(Debug)]
pub(super) struct ImageFolder {
    root: PathBuf,
    folders: Vec<ClassFolder>,
    files: Vec<ImageFile>,
    classes: u32,
    roots: Roots,
    linked: BTreeSet<PathBuf>,
}

#[derive(Debug)]
struct ClassFolder {
    name: OsString,
    label: Class,
}

#[derive(Debug)]
struct ImageFile {
    folder: u32,
    name: Box<OsStr>,
}

impl ImageFolder {
    /// Lists the folders and their files without opening the files. Links must lead to a place
    /// under `roots`.
    pub(super) fn open(
        root: &Path,
        classes: Option<&Path>,
        roots: &Roots,
    ) -> Result<Self, DataError> {
        let mut linked = BTreeSet::new();
        let names = entries(root, EntryKind::Folder, roots, &mut linked)?;
        if names.is_empty() {
            return Err(DataError::layout(root, "has no class folders"));
        }
        let labels = Labels::read(classes, names.len(), roots)?;
        let mut listing = Self {
            root: root.to_owned(),
            folders: Vec::new(),
            files: Vec::new(),
            classes: labels.count(),
            roots: roots.clone(),
            linked,
        };
        for name in names {
            listing.add_folder(name, &labels)?;
        }
        listing.check_not_empty()?;
        Ok(listing)
    }

    /// Adds the next class folder and its images.
    fn add_folder(&mut self, name: OsString, labels: &Labels) -> Result<(), DataError> {
        let place = self.folders.len();
        let path = self.root.join(&name);
        let images = entries(&path, EntryKind::Image, &self.roots, &mut self.linked)?;
        let label = labels.of(&name, place, &path, images.is_empty())?;
        self.files.extend(images.into_iter().map(|name| ImageFile {
            folder: place as u32,
            name: name.into_boxed_os_str(),
        }));
        self.folders.push(ClassFolder { name, label });
        Ok(())
    }

    fn check_not_empty(&self) -> Result<(), DataError> {
        if !self.files.is_empty() {
            return Ok(());
        }
        let what = "holds no .jpg, .jpeg or .png file in its class folders";
        Err(DataError::layout(&self.root, what))
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn classes(&self) -> u32 {
        self.classes
    }

    pub(super) fn path(&self, place: usize) -> PathBuf {
        let file = &self.files[place];
        self.root.join(&self.folder(file).name).join(&*file.name)
    }

    pub(super) fn label(&self, place: usize) -> Class {
        self.folder(&self.files[place]).label
    }

    pub(super) fn image(&self, place: usize) -> Result<Rgb, Fault> {
        decode(&read_sample(&self.roots, &self.path(place))?)
    }

    /// The folders that links in this one lead to.
    pub(super) fn linked(&self) -> &BTreeSet<PathBuf> {
        &self.linked
    }

    /// SHA-256 of the listing, see [`super::Dataset::digest`]. A file whose length cannot be read
    /// does not fail the dataset here; it fails its sample later.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut sha = Sha256::new();
        sha.update(b"ddrs image-folder listing 1\n");
        sha.update((self.files.len() as u64).to_le_bytes());
        for (place, file) in self.files.iter().enumerate() {
            let folder = self.folder(file);
            hash_name(&mut sha, &folder.name);
            hash_name(&mut sha, &file.name);
            sha.update(length(&self.path(place)).to_le_bytes());
            sha.update(folder.label.0.to_le_bytes());
        }
        sha.finalize().into()
    }

    fn folder(&self, file: &ImageFile) -> &ClassFolder {
        &self.folders[file.folder as usize]
    }
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(NO_LENGTH, |file| file.len())
}

/// Adds a name to a digest, its length first.
fn hash_name(sha: &mut Sha256, name: &OsStr) {
    sha.update((name.len() as u64).to_le_bytes());
    sha.update(name.as_encoded_bytes());
}

/// The labels of class folders.
enum Labels {
    /// The place of a folder in order of names, among `count`.
    Places { count: u32 },
    /// The line of a folder's name in a file.
    Lines {
        file: PathBuf,
        labels: HashMap<String, Class>,
    },
}

impl Labels {
    fn read(file: Option<&Path>, folders: usize, roots: &Roots) -> Result<Self, DataError> {
        let Some(file) = file else {
            let count = folders as u32;
            return Ok(Self::Places { count });
        };
        Ok(Self::Lines {
            file: file.to_owned(),
            labels: read_classes(file, roots)?,
        })
    }

    /// The number of classes.
    fn count(&self) -> u32 {
        match self {
            Self::Places { count } => *count,
            Self::Lines { labels, .. } => labels.len() as u32,
        }
    }

    /// The label of the folder `name`, at `place` in order of names.
    fn of(
        &self,
        name: &OsStr,
        place: usize,
        path: &Path,
        is_empty: bool,
    ) -> Result<Class, DataError> {
        match self {
            Self::Lines { file, labels } => {
                let label = name.to_str().and_then(|name| labels.get(name));
                label.copied().ok_or_else(|| unlisted(path, file))
            }
            // It would count as a class and shift the labels of all that follow.
            Self::Places { .. } if is_empty => Err(DataError::layout(
                path,
                "this class folder holds no .jpg, .jpeg or .png file",
            )),
            Self::Places { .. } => Ok(Class(place as u32)),
        }
    }
}

fn unlisted(folder: &Path, classes: &Path) -> DataError {
    let what = format!("this folder is not in {}", classes.display());
    DataError::layout(folder, what)
}

#[derive(Clone, Copy, PartialEq)]
enum EntryKind {
    Folder,
    Image,
}

/// The sorted names in a folder that are folders, or images. A link counts as its target; a link
/// with an image's name and no target counts as an image, so that its sample fails and the indices
/// after it do not shift. A link that leads out of the roots fails the dataset; the folders of
/// other links' targets are added to `linked`.
fn entries(
    folder: &Path,
    wanted: EntryKind,
    roots: &Roots,
    linked: &mut BTreeSet<PathBuf>,
) -> Result<Vec<OsString>, DataError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::io(folder))? {
        let entry = entry.map_err(DataError::io(folder))?;
        let path = entry.path();
        let file_type = entry.file_type().map_err(DataError::io(&path))?;
        if kind(&path, file_type) != Some(wanted) {
            continue;
        }
        if file_type.is_symlink() {
            linked.extend(link_target(&path, wanted, roots)?);
        }
        names.push(entry.file_name());
    }
    names.sort_unstable();
    Ok(names)
}

/// The kind of an entry; `None` if it is neither a folder nor an image.
fn kind(path: &Path, file_type: FileType) -> Option<EntryKind> {
    if is_folder(path, file_type) {
        Some(EntryKind::Folder)
    } else {
        has_image_extension(path).then_some(EntryKind::Image)
    }
}

fn is_folder(path: &Path, file_type: FileType) -> bool {
    if file_type.is_symlink() {
        path.is_dir()
    } else {
        file_type.is_dir()
    }
}

/// The folder that a link leads to, or that contains the image it leads to; `None` if its target
/// does not exist.
fn link_target(path: &Path, kind: EntryKind, roots: &Roots) -> Result<Option<PathBuf>, DataError> {
    let Some(behind) = folder_behind(path) else {
        return Ok(None);
    };
    roots.check(path).map_err(DataError::io(path))?;
    Ok(Some(match kind {
        EntryKind::Folder => canonical(path)?,
        EntryKind::Image => behind,
    }))
}

fn canonical(path: &Path) -> Result<PathBuf, DataError> {
    fs::canonicalize(path).map_err(DataError::io(path))
}

fn has_image_extension(name: &Path) -> bool {
    let known = ["jpg", "jpeg", "png"];
    name.extension()
        .is_some_and(|found| known.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

/// The label of each name: its line, counted from 0.
fn read_classes(file: &Path, roots: &Roots) -> Result<HashMap<String, Class>, DataError> {
    let text = read_text(file, roots)?;
    let mut labels = HashMap::new();
    for (place, name) in text.trim_end().lines().enumerate() {
        if name.is_empty() {
            return Err(empty_line(file, place + 1));
        }
        let earlier = labels.insert(name.to_owned(), Class(place as u32));
        if earlier.is_some() {
            return Err(repeated_name(file, place + 1, name));
        }
    }
    Ok(labels)
}

fn empty_line(file: &Path, line: usize) -> DataError {
    let what = format!("line {line} is empty and would shift the labels after it");
    DataError::layout(file, what)
}

fn repeated_name(file: &Path, line: usize, name: &str) -> DataError {
    DataError::layout(file, format!("line {line} names {name:?} again"))
}

fn read_text(file: &Path, roots: &Roots) -> Result<String, DataError> {
    let bytes = roots.read(file, MAX_CLASSES_FILE);
    String::from_utf8(bytes.map_err(DataError::io(file))?)
        .map_err(|_| DataError::layout(file, "is not UTF-8"))
}

#[cfg(test)]
#[path = "tests/folder.rs"]
mod tests;
