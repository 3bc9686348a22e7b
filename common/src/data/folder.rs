//! Image folders: a folder a class.
//!
//! The index counts class folders sorted by name, then the `.jpg`, `.jpeg` and `.png` files in each sorted by name, in
//! byte order. A label is its folder's place among the sorted folders, or its line in a `classes` file.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::decode::decode;
use super::transform::Transform;
use super::{DataError, Fault, Image, read_sample};
use crate::domain::Class;

/// What stands for the length of a file that cannot be looked at.
const NO_LENGTH: u64 = u64::MAX;

/// The listing of an image folder.
#[derive(Debug)]
pub(super) struct ImageFolder {
    root: PathBuf,
    folders: Vec<Folder>,
    files: Vec<File>,
    classes: u32,
}

#[derive(Debug)]
struct Folder {
    name: OsString,
    label: Class,
}

#[derive(Debug)]
struct File {
    folder: u32,
    name: Box<OsStr>,
}

impl ImageFolder {
    /// Lists the folders and their files; opens none of the files.
    pub(super) fn open(root: &Path, classes: Option<&Path>) -> Result<Self, DataError> {
        let names = entries(root, Kind::Folder)?;
        if names.is_empty() {
            return Err(DataError::layout(root, "has no class folders"));
        }
        let order = classes.map(|file| Ok((file, read_classes(file)?))).transpose()?;
        let mut listing = Self { root: root.to_owned(), folders: Vec::new(), files: Vec::new(), classes: 0 };
        listing.classes = order.as_ref().map_or(names.len(), |(_, labels)| labels.len()) as u32;
        for (place, name) in names.into_iter().enumerate() {
            let path = root.join(&name);
            let images = entries(&path, Kind::Image)?;
            let label = match &order {
                Some((file, labels)) => *name
                    .to_str()
                    .and_then(|name| labels.get(name))
                    .ok_or_else(|| DataError::layout(&path, format!("this folder is not in {}", file.display())))?,
                // It would count as a class and shift the labels of all that follow.
                None if images.is_empty() => {
                    return Err(DataError::layout(&path, "this class folder holds no .jpg, .jpeg or .png file"));
                }
                None => Class(place as u32),
            };
            let file = |name: OsString| File { folder: place as u32, name: name.into_boxed_os_str() };
            listing.files.extend(images.into_iter().map(file));
            listing.folders.push(Folder { name, label });
        }
        if listing.files.is_empty() {
            return Err(DataError::layout(root, "holds no .jpg, .jpeg or .png file in its class folders"));
        }
        Ok(listing)
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

    pub(super) fn image(&self, place: usize, transform: Transform) -> Result<Image, Fault> {
        transform.apply(decode(&read_sample(&self.path(place))?)?)
    }

    /// SHA-256 of the listing, see [`super::Dataset::digest`]. A file that cannot be looked at does not fail the
    /// dataset here; it fails its sample later.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut sha = Sha256::new();
        sha.update(b"ddrs image-folder listing 1\n");
        sha.update((self.files.len() as u64).to_le_bytes());
        for (place, file) in self.files.iter().enumerate() {
            let folder = self.folder(file);
            for part in [folder.name.as_os_str(), &*file.name] {
                sha.update((part.len() as u64).to_le_bytes());
                sha.update(part.as_encoded_bytes());
            }
            let length = fs::metadata(self.path(place)).map_or(NO_LENGTH, |metadata| metadata.len());
            sha.update(length.to_le_bytes());
            sha.update(folder.label.0.to_le_bytes());
        }
        sha.finalize().into()
    }

    fn folder(&self, file: &File) -> &Folder {
        &self.folders[file.folder as usize]
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Folder,
    Image,
}

/// The names in a folder that are folders, or images, sorted. Links count as what they point to; a link to nowhere
/// with an image's name counts as an image, so that its sample fails rather than shifting the indices after it.
fn entries(folder: &Path, wanted: Kind) -> Result<Vec<OsString>, DataError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::io(folder))? {
        let entry = entry.map_err(DataError::io(folder))?;
        let file_type = entry.file_type().map_err(DataError::io(&entry.path()))?;
        let is_folder = if file_type.is_symlink() { entry.path().is_dir() } else { file_type.is_dir() };
        let is_wanted = match wanted {
            Kind::Folder => is_folder,
            Kind::Image => !is_folder && has_image_extension(Path::new(&entry.file_name())),
        };
        if is_wanted {
            names.push(entry.file_name());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn has_image_extension(name: &Path) -> bool {
    let is = |extension: &OsStr| ["jpg", "jpeg", "png"].iter().any(|known| extension.eq_ignore_ascii_case(known));
    name.extension().is_some_and(is)
}

/// The label of each folder: its line, counted from 0.
fn read_classes(file: &Path) -> Result<HashMap<String, Class>, DataError> {
    let text = fs::read_to_string(file).map_err(DataError::io(file))?;
    let mut labels = HashMap::new();
    for (place, name) in text.trim_end().lines().enumerate() {
        let line = place + 1;
        if name.is_empty() {
            return Err(DataError::layout(file, format!("line {line} is empty and would shift the labels after it")));
        }
        if labels.insert(name.to_owned(), Class(place as u32)).is_some() {
            return Err(DataError::layout(file, format!("line {line} names {name:?} again")));
        }
    }
    Ok(labels)
}

#[cfg(test)]
#[path = "tests/folder.rs"]
mod tests;
