//! Image folders: a folder a class.
//!
//! The index counts class folders sorted by name, then the `.jpg`, `.jpeg` and `.png` files in each
//! sorted by name, in byte order. A label is its folder's place among the sorted folders, or its
//! line in a `classes` file.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::access::{folder_behind, read_sample};
use super::decode::{Rgb, decode};
use super::{DataError, Fault};
use crate::domain::Class;
use crate::roots::Roots;

/// A million names of usual length.
const MAX_CLASSES_FILE: u64 = 64 << 20;
/// What stands for the length of a file that cannot be looked at.
const NO_LENGTH: u64 = u64::MAX;

/// The listing of an image folder.
#[derive(Debug)]
pub(super) struct ImageFolder {
    root: PathBuf,
    folders: Vec<Folder>,
    files: Vec<File>,
    classes: u32,
    roots: Roots,
    linked: BTreeSet<PathBuf>,
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
    /// Lists the folders and their files; opens none of the files. Links must lead to somewhere
    /// under `roots`.
    pub(super) fn open(
        root: &Path,
        classes: Option<&Path>,
        roots: &Roots,
    ) -> Result<Self, DataError> {
        let mut linked = BTreeSet::new();
        let names = entries(root, Kind::Folder, roots, &mut linked)?;
        if names.is_empty() {
            return Err(DataError::layout(root, "has no class folders"));
        }
        let order = classes
            .map(|file| Ok((file, read_classes(file, roots)?)))
            .transpose()?;
        let classes = order
            .as_ref()
            .map_or(names.len(), |(_, labels)| labels.len()) as u32;
        let (root, roots) = (root.to_owned(), roots.clone());
        let mut listing = Self {
            root,
            folders: Vec::new(),
            files: Vec::new(),
            classes,
            roots,
            linked,
        };
        for (place, name) in names.into_iter().enumerate() {
            let path = listing.root.join(&name);
            let images = entries(&path, Kind::Image, &listing.roots, &mut listing.linked)?;
            let label = match &order {
                Some((file, labels)) => *name
                    .to_str()
                    .and_then(|name| labels.get(name))
                    .ok_or_else(|| {
                        DataError::layout(
                            &path,
                            format!("this folder is not in {}", file.display()),
                        )
                    })?,
                // It would count as a class and shift the labels of all that follow.
                None if images.is_empty() => {
                    return Err(DataError::layout(
                        &path,
                        "this class folder holds no .jpg, .jpeg or .png file",
                    ));
                }
                None => Class(place as u32),
            };
            let file = |name: OsString| File {
                folder: place as u32,
                name: name.into_boxed_os_str(),
            };
            listing.files.extend(images.into_iter().map(file));
            listing.folders.push(Folder { name, label });
        }
        if listing.files.is_empty() {
            return Err(DataError::layout(
                &listing.root,
                "holds no .jpg, .jpeg or .png file in its class folders",
            ));
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

    pub(super) fn image(&self, place: usize) -> Result<Rgb, Fault> {
        decode(&read_sample(&self.roots, &self.path(place))?)
    }

    /// The folders that links in this one lead into.
    pub(super) fn linked(&self) -> &BTreeSet<PathBuf> {
        &self.linked
    }

    /// SHA-256 of the listing, see [`super::Dataset::digest`]. A file that cannot be looked at does
    /// not fail the dataset here; it fails its sample later.
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
            let length =
                fs::metadata(self.path(place)).map_or(NO_LENGTH, |metadata| metadata.len());
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

/// The names in a folder that are folders, or images, sorted. Links count as what they point to; a
/// link to nowhere with an image's name counts as an image, so that its sample fails rather than
/// shifting the indices after it. A link that leads out of the roots fails the dataset; the others'
/// targets are added to `linked`.
fn entries(
    folder: &Path,
    wanted: Kind,
    roots: &Roots,
    linked: &mut BTreeSet<PathBuf>,
) -> Result<Vec<OsString>, DataError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::io(folder))? {
        let entry = entry.map_err(DataError::io(folder))?;
        let file_type = entry.file_type().map_err(DataError::io(&entry.path()))?;
        let is_folder = if file_type.is_symlink() {
            entry.path().is_dir()
        } else {
            file_type.is_dir()
        };
        let is_wanted = match wanted {
            Kind::Folder => is_folder,
            Kind::Image => !is_folder && has_image_extension(Path::new(&entry.file_name())),
        };
        if is_wanted
            && file_type.is_symlink()
            && let Some(behind) = folder_behind(&entry.path())
        {
            roots
                .check(&entry.path())
                .map_err(DataError::io(&entry.path()))?;
            linked.insert(if is_folder {
                canonical(&entry.path())?
            } else {
                behind
            });
        }
        if is_wanted {
            names.push(entry.file_name());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn canonical(path: &Path) -> Result<PathBuf, DataError> {
    fs::canonicalize(path).map_err(DataError::io(path))
}

fn has_image_extension(name: &Path) -> bool {
    let is = |extension: &OsStr| {
        ["jpg", "jpeg", "png"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    };
    name.extension().is_some_and(is)
}

/// The label of each folder: its line, counted from 0.
fn read_classes(file: &Path, roots: &Roots) -> Result<HashMap<String, Class>, DataError> {
    let bytes = roots
        .read(file, MAX_CLASSES_FILE)
        .map_err(DataError::io(file))?;
    let text = String::from_utf8(bytes).map_err(|_| DataError::layout(file, "is not UTF-8"))?;
    let mut labels = HashMap::new();
    for (place, name) in text.trim_end().lines().enumerate() {
        let line = place + 1;
        if name.is_empty() {
            return Err(DataError::layout(
                file,
                format!("line {line} is empty and would shift the labels after it"),
            ));
        }
        if labels
            .insert(name.to_owned(), Class(place as u32))
            .is_some()
        {
            return Err(DataError::layout(
                file,
                format!("line {line} names {name:?} again"),
            ));
        }
    }
    Ok(labels)
}

#[cfg(test)]
#[path = "tests/folder.rs"]
mod tests;
