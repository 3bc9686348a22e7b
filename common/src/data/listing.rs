//! Lists the images under a folder as torchvision's `ImageFolder` does, and counts the files and
//! folders that are left aside.
//!
//! Folders are ordered by their whole path, and the files in each by name, in byte order. Hidden
//! folders and files are left aside, which torchvision takes: they are copies that editors and file
//! managers make.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, FileType};
use std::path::{Path, PathBuf};

use super::DataError;
use super::access::folder_behind;
use crate::roots::Roots;

/// The suffixes of torchvision's `IMG_EXTENSIONS`.
const SUFFIXES: [&str; 9] = [
    "jpg", "jpeg", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp",
];
/// The suffixes, for messages.
pub(super) const SUFFIX_LIST: &str = ".jpg, .jpeg, .png, .ppm, .bmp, .pgm, .tif, .tiff or .webp";
/// Folders that macOS and Synology devices add.
const SYSTEM_FOLDERS: [&str; 2] = ["__MACOSX", "@eaDir"];

/// Lists a dataset's folder. Links must lead to a place under the roots.
#[derive(Debug)]
pub(super) struct Lister {
    root: PathBuf,
    roots: Roots,
    linked: BTreeSet<PathBuf>,
    aside: LeftAside,
}

/// The files and folders that are not taken: how many for each reason, and the first by name.
#[derive(Debug, Default)]
pub(super) struct LeftAside(BTreeMap<AsideReason, (u64, String)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AsideReason {
    HiddenFolder,
    HiddenFile,
    LinkedFolder,
    OutsideClasses,
    OtherSuffix,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum EntryKind {
    Folder,
    Image,
    Other,
}

/// An entry of a folder.
struct FolderEntry {
    name: OsString,
    path: PathBuf,
    kind: EntryKind,
    is_link: bool,
}

/// The names of the folders and images in a folder.
#[derive(Default)]
struct FolderContents {
    folders: Vec<OsString>,
    images: Vec<OsString>,
}

impl Lister {
    pub(super) fn new(root: &Path, roots: &Roots) -> Self {
        Self {
            root: root.to_owned(),
            roots: roots.clone(),
            linked: BTreeSet::new(),
            aside: LeftAside::default(),
        }
    }

    /// Returns the sorted names of the class folders. A link to a folder counts as one.
    pub(super) fn class_folders(&mut self) -> Result<Vec<OsString>, DataError> {
        let mut names = Vec::new();
        for entry in self.entries(Path::new(""))? {
            match entry.kind {
                EntryKind::Folder => {
                    self.follow(&entry)?;
                    names.push(entry.name);
                }
                EntryKind::Image => self.leave(AsideReason::OutsideClasses, &entry),
                EntryKind::Other => self.leave(AsideReason::OtherSuffix, &entry),
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Returns the images in a folder of the root and in the folders below it, by their paths from
    /// that folder, in order.
    pub(super) fn images(&mut self, folder: &OsStr) -> Result<Vec<OsString>, DataError> {
        let mut found = BTreeMap::new();
        let mut waiting = vec![OsString::new()];
        while let Some(deeper) = waiting.pop() {
            let contents = self.contents(&Path::new(folder).join(&deeper))?;
            let folders = contents.folders.iter();
            waiting.extend(folders.map(|name| below(&deeper, name)));
            found.insert(deeper, contents.images);
        }
        let found = found.iter();
        Ok(found
            .flat_map(|(folder, names)| all_below(folder, names))
            .collect())
    }

    /// Sorts what is in a folder below the class folders. A link to a folder is left aside.
    fn contents(&mut self, folder: &Path) -> Result<FolderContents, DataError> {
        let mut contents = FolderContents::default();
        for entry in self.entries(folder)? {
            match entry.kind {
                EntryKind::Folder if entry.is_link => self.leave(AsideReason::LinkedFolder, &entry),
                EntryKind::Folder => contents.folders.push(entry.name),
                EntryKind::Image => {
                    self.follow(&entry)?;
                    contents.images.push(entry.name);
                }
                EntryKind::Other => self.leave(AsideReason::OtherSuffix, &entry),
            }
        }
        contents.images.sort_unstable();
        Ok(contents)
    }

    /// Returns the folders that links lead to, and what was left aside.
    pub(super) fn finish(self) -> (BTreeSet<PathBuf>, LeftAside) {
        (self.linked, self.aside)
    }

    /// Reads a folder of the root, without what is hidden.
    fn entries(&mut self, folder: &Path) -> Result<Vec<FolderEntry>, DataError> {
        let mut entries = read_folder(&self.root.join(folder))?;
        for entry in entries.extract_if(.., |entry| is_hidden(&entry.name)) {
            let reason = if entry.kind == EntryKind::Folder {
                AsideReason::HiddenFolder
            } else {
                AsideReason::HiddenFile
            };
            self.leave(reason, &entry);
        }
        Ok(entries)
    }

    fn leave(&mut self, reason: AsideReason, entry: &FolderEntry) {
        let path = entry.path.strip_prefix(&self.root).unwrap_or(&entry.path);
        self.aside.add(reason, path.display().to_string());
    }

    /// Checks where a link leads, and remembers that place. A link with an image's name and no
    /// target counts as an image, so that its sample fails and the indices after it do not shift.
    fn follow(&mut self, entry: &FolderEntry) -> Result<(), DataError> {
        let path = &entry.path;
        if !entry.is_link {
            return Ok(());
        }
        let Some(behind) = folder_behind(path) else {
            return Ok(());
        };
        self.roots.check(path).map_err(DataError::io(path))?;
        if entry.kind == EntryKind::Folder {
            let target = canonical(path)?;
            self.refuse_circle(path, &target)?;
            self.linked.insert(target);
        } else {
            self.linked.insert(behind);
        }
        Ok(())
    }

    /// Refuses a link to a folder that contains the dataset.
    fn refuse_circle(&self, link: &Path, target: &Path) -> Result<(), DataError> {
        if !canonical(&self.root)?.starts_with(target) {
            return Ok(());
        }
        let what = "this link leads to a folder that contains the dataset; remove it";
        Err(DataError::layout(link, what))
    }
}

fn read_folder(path: &Path) -> Result<Vec<FolderEntry>, DataError> {
    let entries = fs::read_dir(path).map_err(DataError::io(path))?;
    entries
        .map(|entry| FolderEntry::new(&entry.map_err(DataError::io(path))?))
        .collect()
}

impl FolderEntry {
    fn new(entry: &DirEntry) -> Result<Self, DataError> {
        let path = entry.path();
        let file_type = entry.file_type().map_err(DataError::io(&path))?;
        Ok(Self {
            name: entry.file_name(),
            kind: kind(&path, file_type),
            is_link: file_type.is_symlink(),
            path,
        })
    }
}

impl LeftAside {
    pub(super) fn add(&mut self, reason: AsideReason, path: String) {
        let (count, first) = self.0.entry(reason).or_insert_with(|| (0, path.clone()));
        *count += 1;
        if path < *first {
            *first = path;
        }
    }

    /// Returns a statement for each reason.
    pub(super) fn notes(&self) -> Vec<String> {
        let notes = self.0.iter();
        notes
            .map(|(reason, (count, first))| {
                let things = reason.things();
                format!("left aside {count} {things}, such as {first}")
            })
            .collect()
    }
}

impl AsideReason {
    fn things(self) -> String {
        match self {
            Self::HiddenFolder => "hidden folder(s)".to_owned(),
            Self::HiddenFile => "hidden file(s)".to_owned(),
            Self::LinkedFolder => "link(s) to folders below the class folders".to_owned(),
            Self::OutsideClasses => "image(s) outside the class folders".to_owned(),
            Self::OtherSuffix => format!("file(s) that do not end with {SUFFIX_LIST}"),
        }
    }
}

fn kind(path: &Path, file_type: FileType) -> EntryKind {
    if is_folder(path, file_type) {
        EntryKind::Folder
    } else if has_image_suffix(path) {
        EntryKind::Image
    } else {
        EntryKind::Other
    }
}

fn is_folder(path: &Path, file_type: FileType) -> bool {
    if file_type.is_symlink() {
        path.is_dir()
    } else {
        file_type.is_dir()
    }
}

/// Returns true if the name of a file or folder is one that programs add for themselves.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || SYSTEM_FOLDERS.iter().any(|known| name == *known)
}

pub(super) fn has_image_suffix(name: &Path) -> bool {
    let suffix = name.extension();
    suffix.is_some_and(|found| {
        SUFFIXES
            .iter()
            .any(|known| found.eq_ignore_ascii_case(known))
    })
}

fn all_below(folder: &OsStr, names: &[OsString]) -> Vec<OsString> {
    names.iter().map(|name| below(folder, name)).collect()
}

fn below(folder: &OsStr, name: &OsStr) -> OsString {
    Path::new(folder).join(name).into_os_string()
}

fn canonical(path: &Path) -> Result<PathBuf, DataError> {
    fs::canonicalize(path).map_err(DataError::io(path))
}
