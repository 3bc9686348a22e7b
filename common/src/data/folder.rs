//! Image folders: one folder per class.
//!
//! The index counts class folders sorted by name, then the images in each and in the folders below
//! it, as [`Lister`] orders them. A label is the folder's place among the sorted folders, or its
//! place in a list of classes.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::access::read_sample;
use super::class_list::ClassList;
use super::decode::{Rgb, decode};
use super::folder_names::{check_numbers, check_splits, order_note};
use super::listing::{Lister, SUFFIX_LIST};
use super::{DataError, Fault};
use crate::domain::Class;
use crate::roots::Roots;

/// The length in the digest of a file whose length cannot be read.
const NO_LENGTH: u64 = u64::MAX;

/// The listing of an image folder.
#[derive(Debug)]
pub(super) struct ImageFolder {
    root: PathBuf,
    folders: Vec<ClassFolder>,
    files: Vec<ImageFile>,
    classes: u32,
    has_list: bool,
    roots: Roots,
    linked: BTreeSet<PathBuf>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct ClassFolder {
    name: OsString,
    label: Class,
}

#[derive(Debug)]
struct ImageFile {
    folder: u32,
    /// The path from the class folder.
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
        let mut lister = Lister::new(root, roots);
        let names = lister.class_folders()?;
        if names.is_empty() {
            return Err(no_folders(root));
        }
        let labels = FolderLabels::read(root, classes, &names, roots)?;
        let mut listing = Self {
            root: root.to_owned(),
            folders: Vec::new(),
            files: Vec::new(),
            classes: labels.count(),
            has_list: classes.is_some(),
            roots: roots.clone(),
            linked: BTreeSet::new(),
            notes: labels.note(&names).into_iter().collect(),
        };
        for name in names {
            listing.add_folder(name, &labels, &mut lister)?;
        }
        listing.check()?;
        Ok(listing.with_notes(lister))
    }

    /// Adds the next class folder and its images.
    fn add_folder(
        &mut self,
        name: OsString,
        labels: &FolderLabels,
        lister: &mut Lister,
    ) -> Result<(), DataError> {
        let place = self.folders.len();
        let images = lister.images(&name)?;
        let label = labels.of(&name, place, &self.root, images.is_empty())?;
        self.files.extend(images.into_iter().map(|name| ImageFile {
            folder: place as u32,
            name: name.into_boxed_os_str(),
        }));
        self.folders.push(ClassFolder { name, label });
        Ok(())
    }

    /// Refuses a listing without images, and one whose class folders are those of splits.
    fn check(&self) -> Result<(), DataError> {
        if self.files.is_empty() {
            let what = format!("its class folders hold no file that ends with {SUFFIX_LIST}");
            return Err(DataError::layout(&self.root, what));
        }
        if self.has_list {
            return Ok(());
        }
        let files = self.files.iter();
        let paths = files.map(|file| (&*self.folder(file).name, Path::new(&*file.name)));
        check_splits(&self.root, paths)
    }

    fn with_notes(mut self, lister: Lister) -> Self {
        let (linked, aside) = lister.finish();
        self.linked = linked;
        self.notes.extend(self.note_of_deeper_images());
        self.notes.extend(aside.notes());
        self
    }

    fn note_of_deeper_images(&self) -> Option<String> {
        let is_deeper =
            |place: &usize| Path::new(&*self.files[*place].name).components().count() > 1;
        let mut deeper = (0..self.files.len()).filter(is_deeper);
        let first = self.path(deeper.next()?);
        let first = first.strip_prefix(&self.root).unwrap_or(&first).display();
        let count = 1 + deeper.count();
        Some(format!(
            "{count} image(s) in deeper folders, such as {first}, belong to the class of the \
             first folder"
        ))
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn classes(&self) -> u32 {
        self.classes
    }

    /// Returns true if a list gives the labels, not the order of the folders.
    pub(super) fn has_list(&self) -> bool {
        self.has_list
    }

    /// Returns statements about files that are not taken, and about doubtful names.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
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

fn no_folders(root: &Path) -> DataError {
    let what = "has no class folders; a folder of images without them is format `imagenet`, with \
                a list of `labels`";
    DataError::layout(root, what)
}

/// The length of a file.
pub(super) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(NO_LENGTH, |file| file.len())
}

/// Adds a name to a digest, its length first.
pub(super) fn hash_name(sha: &mut Sha256, name: &OsStr) {
    sha.update((name.len() as u64).to_le_bytes());
    sha.update(name.as_encoded_bytes());
}

/// The labels of class folders.
enum FolderLabels {
    /// The place of a folder in order of names, among `count`.
    Places { count: u32 },
    /// The place of a folder's name in a list.
    Listed(ClassList),
}

impl FolderLabels {
    fn read(
        root: &Path,
        list: Option<&Path>,
        folders: &[OsString],
        roots: &Roots,
    ) -> Result<Self, DataError> {
        let Some(file) = list else {
            check_numbers(root, folders)?;
            let count = folders.len() as u32;
            return Ok(Self::Places { count });
        };
        let names = folders.iter().map(|name| utf8_name(root, name));
        let names: Vec<String> = names.collect::<Result<_, _>>()?;
        ClassList::read(file, roots, &names).map(Self::Listed)
    }

    /// The number of classes.
    fn count(&self) -> u32 {
        match self {
            Self::Places { count } => *count,
            Self::Listed(list) => list.count(),
        }
    }

    fn note(&self, folders: &[OsString]) -> Option<String> {
        match self {
            Self::Places { .. } => order_note(folders),
            Self::Listed(_) => None,
        }
    }

    /// The label of the folder `name`, at `place` in order of names.
    fn of(
        &self,
        name: &OsStr,
        place: usize,
        root: &Path,
        is_empty: bool,
    ) -> Result<Class, DataError> {
        match self {
            // The list has the names of all folders.
            Self::Listed(list) => {
                let label = name.to_str().and_then(|name| list.label(name));
                label.ok_or_else(|| unlisted(&root.join(name)))
            }
            // It would count as a class and shift the labels of all that follow.
            Self::Places { .. } if is_empty => Err(no_images(&root.join(name))),
            Self::Places { .. } => Ok(Class(place as u32)),
        }
    }
}

fn utf8_name(root: &Path, name: &OsStr) -> Result<String, DataError> {
    let name_in_utf8 = name.to_str().map(str::to_owned);
    name_in_utf8.ok_or_else(|| unlisted(&root.join(name)))
}

fn unlisted(folder: &Path) -> DataError {
    DataError::layout(folder, "this folder is not in dataset.classes")
}

fn no_images(folder: &Path) -> DataError {
    let what = format!("this class folder holds no file that ends with {SUFFIX_LIST}");
    DataError::layout(folder, what)
}

#[cfg(test)]
#[path = "tests/folder.rs"]
mod tests;
