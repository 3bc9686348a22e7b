//! Images with a list of labels, as ImageNet's validation set is published: in one folder, or in a
//! zip archive.
//!
//! The index counts images sorted by path, in byte order. A label in the list is a class's number,
//! from 0, or its name. The number of a name is its place in the list of classes, or among the
//! sorted names of the labels. ILSVRC's ground truth has numbers from 1 that no network uses; a
//! list of classes with these numbers, such as `map_clsloc.txt`, translates them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::access::read_sample;
use super::archive::ZipImages;
use super::class_list::{ClassList, ClassNumbers};
use super::decode::{Rgb, decode};
use super::folder::{hash_name, length};
use super::label_list::{WrittenLabels, read_labels};
use super::listing::{Lister, SUFFIX_LIST};
use super::{DataError, Fault};
use crate::domain::Class;
use crate::roots::Roots;
use crate::spec::DatasetSpec;

/// The images and their labels.
#[derive(Debug)]
pub(super) struct LabelledImages {
    images: ImageStore,
    labels: Vec<Class>,
    /// The number of classes, if the labels are names or there is a list of classes.
    classes: Option<u32>,
    linked: BTreeSet<PathBuf>,
    notes: Vec<String>,
}

#[derive(Debug)]
enum ImageStore {
    Files(ImageFiles),
    Zip(ZipImages),
}

#[derive(Debug)]
struct ImageFiles {
    root: PathBuf,
    names: Vec<String>,
    roots: Roots,
}

/// Classes of images, and how many there are.
struct Labelling {
    labels: Vec<Class>,
    classes: Option<u32>,
}

impl LabelledImages {
    /// Lists the images and reads their labels.
    pub(super) fn open(spec: &DatasetSpec, roots: &Roots) -> Result<Self, DataError> {
        if spec.path.is_dir() {
            let mut lister = Lister::new(&spec.path, roots);
            let files = ImageFiles::list(&spec.path, roots, &mut lister)?;
            let (linked, aside) = lister.finish();
            let opened = Self::new(ImageStore::Files(files), aside.notes(), spec, roots)?;
            Ok(Self { linked, ..opened })
        } else {
            let (images, aside) = ZipImages::open(&spec.path, roots)?;
            Self::new(ImageStore::Zip(images), aside.notes(), spec, roots)
        }
    }

    fn new(
        images: ImageStore,
        mut notes: Vec<String>,
        spec: &DatasetSpec,
        roots: &Roots,
    ) -> Result<Self, DataError> {
        let names = images.names();
        let written = match &spec.labels {
            Some(file) => read_labels(file, roots, &names)?,
            None => folder_names(&spec.path, &names)?,
        };
        let source = spec.labels.as_ref().unwrap_or(&spec.path);
        let Labelling { labels, classes } =
            labelling(&written, source, spec.classes.as_deref(), roots)?;
        notes.extend(written.note);
        Ok(Self {
            images,
            labels,
            classes,
            linked: BTreeSet::new(),
            notes,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn classes(&self) -> Option<u32> {
        self.classes
    }

    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The folders that links among the files lead to.
    pub(super) fn linked(&self) -> &BTreeSet<PathBuf> {
        &self.linked
    }

    pub(super) fn label(&self, place: usize) -> Class {
        self.labels[place]
    }

    pub(super) fn path(&self, place: usize) -> PathBuf {
        match &self.images {
            ImageStore::Files(files) => files.path(place),
            ImageStore::Zip(images) => images.label_path(place),
        }
    }

    pub(super) fn image(&self, place: usize) -> Result<Rgb, Fault> {
        match &self.images {
            ImageStore::Files(files) => decode(&read_sample(&files.roots, &files.path(place))?),
            ImageStore::Zip(images) => decode(&images.read(place)?),
        }
    }

    /// SHA-256 of names, lengths and labels, and of the checksums in an archive.
    pub(super) fn digest(&self) -> [u8; 32] {
        match &self.images {
            ImageStore::Files(files) => files.digest(&self.labels),
            ImageStore::Zip(images) => images.digest(&self.labels),
        }
    }
}

impl ImageStore {
    fn names(&self) -> Vec<String> {
        match self {
            Self::Files(files) => files.names.clone(),
            Self::Zip(images) => images.names(),
        }
    }
}

impl ImageFiles {
    fn list(root: &Path, roots: &Roots, lister: &mut Lister) -> Result<Self, DataError> {
        let images = lister.images(OsStr::new(""))?;
        let names = images.into_iter().map(|name| {
            let name = name.into_string();
            name.map_err(|name| DataError::layout(&root.join(name), "its name is not UTF-8"))
        });
        let mut names: Vec<String> = names.collect::<Result<_, _>>()?;
        names.sort_unstable();
        if names.is_empty() {
            let what = format!("holds no file that ends with {SUFFIX_LIST}");
            return Err(DataError::layout(root, what));
        }
        Ok(Self {
            root: root.to_owned(),
            names,
            roots: roots.clone(),
        })
    }

    fn path(&self, place: usize) -> PathBuf {
        self.root.join(&self.names[place])
    }

    fn digest(&self, labels: &[Class]) -> [u8; 32] {
        let mut sha = Sha256::new();
        sha.update(b"ddrs imagenet listing 1\n");
        sha.update((self.names.len() as u64).to_le_bytes());
        for (place, label) in labels.iter().enumerate() {
            hash_name(&mut sha, self.names[place].as_ref());
            sha.update(length(&self.path(place)).to_le_bytes());
            sha.update(label.0.to_le_bytes());
        }
        sha.finalize().into()
    }
}

/// Takes the name of the folder that contains an image as its label.
fn folder_names(path: &Path, images: &[String]) -> Result<WrittenLabels, DataError> {
    let folders = images.iter().map(|image| {
        let folder = Path::new(image).parent().and_then(Path::file_name);
        let folder = folder.and_then(OsStr::to_str).map(str::to_owned);
        folder.ok_or_else(|| without_labels(path, image))
    });
    let of_images: Vec<String> = folders.collect::<Result<_, _>>()?;
    Ok(WrittenLabels {
        all: of_images.iter().cloned().collect(),
        of_images,
        is_column: false,
        note: None,
    })
}

fn without_labels(path: &Path, image: &str) -> DataError {
    let what = format!("{image} is in no class folder; give dataset.labels, a list of labels");
    DataError::layout(path, what)
}

/// Translates labels to classes. `source` is the file or folder that has them.
fn labelling(
    written: &WrittenLabels,
    source: &Path,
    classes: Option<&Path>,
    roots: &Roots,
) -> Result<Labelling, DataError> {
    let labels = written.of_images.iter();
    let numbers: Vec<u32> = labels.filter_map(|label| label.parse().ok()).collect();
    if numbers.is_empty() {
        return match classes {
            Some(file) => listed_names(written, file, roots),
            None => sorted_names(written, source),
        };
    }
    if numbers.len() < written.of_images.len() {
        return Err(DataError::layout(source, "has numbers and names as labels"));
    }
    match classes {
        Some(file) => listed_numbers(&numbers, written, source, file, roots),
        None => plain_numbers(&numbers, written, source),
    }
}

/// Numbers that a list of classes may translate.
fn listed_numbers(
    numbers: &[u32],
    written: &WrittenLabels,
    source: &Path,
    file: &Path,
    roots: &Roots,
) -> Result<Labelling, DataError> {
    let list = ClassNumbers::read(file, roots)?;
    let classes = Some(list.count());
    let Some(by_number) = list.classes() else {
        let plain = plain_numbers(numbers, written, source)?;
        return Ok(Labelling { classes, ..plain });
    };
    let labels = numbers.iter().map(|number| {
        let class = by_number.get(number).copied();
        class.ok_or_else(|| unknown_label(source, &number.to_string(), file))
    });
    Ok(Labelling {
        labels: labels.collect::<Result<_, _>>()?,
        classes,
    })
}

/// Numbers of classes from 0. A column without names must show that it counts from 0.
fn plain_numbers(
    numbers: &[u32],
    written: &WrittenLabels,
    source: &Path,
) -> Result<Labelling, DataError> {
    if written.is_column && !written.all.contains("0") {
        let what = "has numbers without a 0, so they may count from 1, as in ILSVRC's ground \
                    truth, whose numbers no network uses; give dataset.classes, a file with the \
                    name and number of each class such as map_clsloc.txt, or list a name and a \
                    label from 0 per line";
        return Err(DataError::layout(source, what));
    }
    Ok(Labelling {
        labels: numbers.iter().copied().map(Class).collect(),
        classes: None,
    })
}

fn listed_names(
    written: &WrittenLabels,
    file: &Path,
    roots: &Roots,
) -> Result<Labelling, DataError> {
    let names: Vec<String> = written.all.iter().cloned().collect();
    let list = ClassList::read(file, roots, &names)?;
    let labels = written.of_images.iter().map(|name| {
        let class = list.label(name);
        class.ok_or_else(|| unknown_label(file, name, file))
    });
    Ok(Labelling {
        labels: labels.collect::<Result<_, _>>()?,
        classes: Some(list.count()),
    })
}

/// The places of names among all names of the labels.
fn sorted_names(written: &WrittenLabels, source: &Path) -> Result<Labelling, DataError> {
    let names: Vec<&String> = written.all.iter().collect();
    let labels = written.of_images.iter().map(|name| {
        let place = names.binary_search(&name).ok();
        let place = place.ok_or_else(|| unknown_label(source, name, source))?;
        Ok(Class(place as u32))
    });
    Ok(Labelling {
        labels: labels.collect::<Result<_, DataError>>()?,
        classes: Some(names.len() as u32),
    })
}

fn unknown_label(source: &Path, label: &str, list: &Path) -> DataError {
    let what = format!(
        "has the label {label:?}, which is not in {}",
        list.display()
    );
    DataError::layout(source, what)
}

#[cfg(test)]
#[path = "tests/imagenet.rs"]
mod tests;
