//! Datasets as f32 images in \[0, 1\].
//!
//! - `folder`: one folder of image files per class; `listing` finds them, `folder_names` doubts
//!   their folders, `class_list` reads a list of classes
//! - `imagenet`: image files with a list of labels (`label_list`), also in a zip archive
//!   (`archive`)
//! - `decode`, `transform`: turn a file into an image
//! - `cifar`: CIFAR-10 and CIFAR-100
//! - `tensors`, `npz` and `idx`: files of arrays, which `array_set` joins to a dataset
//! - `parquet`: tables of encoded images
//!
//! `class_check` holds labels against the classes of a network. Opening reads the index; images are
//! read one by one, also by several threads at once.
//! Normalisation is not done here: it is part of the model, after the noise.

mod access;
mod archive;
mod array;
mod array_names;
mod array_set;
mod bytes;
mod cifar;
mod class_check;
mod class_list;
mod decode;
mod error;
mod facts;
mod files;
mod folder;
mod folder_names;
mod idx;
mod imagenet;
mod label_list;
mod list_text;
mod listing;
mod npy;
mod npz;
mod number_list;
mod parquet;
mod tensors;
mod transform;

pub use class_check::ClassMismatch;
pub use error::{DataError, Fault};
pub(crate) use number_list::read_numbers;
pub use tensors::write_tensors;

use std::path::PathBuf;

use crate::domain::{Class, SampleIndex};
use crate::roots::Roots;
use crate::spec::{DatasetFormat, DatasetSpec, ResizeTo};
use array_set::ArraySet;
use cifar::{Cifar, CifarKind};
use decode::Rgb;
use folder::ImageFolder;
use imagenet::LabelledImages;
use parquet::ParquetFiles;
use transform::{Transform, to_float};

/// The largest number of samples of a file: more than any dataset has, and few enough for the
/// labels to fit in memory.
pub const MAX_SAMPLES: u64 = 100_000_000;

/// One image, channels first.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// `channels * height * width` values in \[0, 1\], row by row, channel after channel.
    pub pixels: Vec<f32>,
}

/// An open dataset of at least one sample. Its index is in memory; its images are read one by one.
#[derive(Debug)]
pub struct Dataset {
    path: PathBuf,
    source: Source,
    transform: Transform,
}

#[derive(Debug)]
enum Source {
    Folder(ImageFolder),
    Labelled(LabelledImages),
    Cifar(Cifar),
    Arrays(ArraySet),
    Parquet(ParquetFiles),
}

impl Source {
    fn open(spec: &DatasetSpec, roots: &Roots) -> Result<Self, DataError> {
        let path = spec.path.as_path();
        let classes = spec.classes.as_deref();
        Ok(match spec.format {
            DatasetFormat::ImageFolder => Self::Folder(ImageFolder::open(path, classes, roots)?),
            DatasetFormat::Imagenet => Self::Labelled(LabelledImages::open(spec, roots)?),
            DatasetFormat::Cifar10 => Self::Cifar(Cifar::open(spec, CifarKind::Ten, roots)?),
            DatasetFormat::Cifar100 => Self::Cifar(Cifar::open(spec, CifarKind::Hundred, roots)?),
            DatasetFormat::Mnist => Self::Arrays(idx::open(spec, roots)?),
            DatasetFormat::Npz => Self::Arrays(npz::open(spec, roots)?),
            DatasetFormat::Parquet => Self::Parquet(ParquetFiles::open(spec, roots)?),
            DatasetFormat::Tensors => Self::Arrays(tensors::open(spec, roots)?),
        })
    }
}

#[expect(
    clippy::len_without_is_empty,
    reason = "an empty dataset does not open"
)]
impl Dataset {
    /// Reads the index (folder listing, file lengths, headers, labels), not the images.
    ///
    /// # Errors
    /// When the path is missing or holds no sample, when a file is not laid out as its format says,
    /// or when the specification has a key that the format does not support. The message names the
    /// file.
    pub fn open(spec: &DatasetSpec) -> Result<Self, DataError> {
        Self::open_under(spec, &Roots::anywhere())
    }

    /// Opens a dataset of an untrusted specification: every file, now and later, must lie under
    /// `roots`, links resolved.
    ///
    /// # Errors
    /// As [`Self::open`], and when a file or the target of a link lies outside.
    pub fn open_under(spec: &DatasetSpec, roots: &Roots) -> Result<Self, DataError> {
        check_keys(spec)?;
        Ok(Self {
            path: spec.path.clone(),
            source: Source::open(spec, roots)?,
            transform: Transform {
                resize: spec.resize,
                interpolation: spec.interpolation,
                crop: spec.crop,
            },
        })
    }

    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.source {
            Source::Folder(folder) => folder.len() as u64,
            Source::Labelled(images) => images.len() as u64,
            Source::Cifar(cifar) => cifar.len() as u64,
            Source::Arrays(arrays) => arrays.len() as u64,
            Source::Parquet(files) => files.len() as u64,
        }
    }

    /// The number of classes, if the format determines it.
    #[must_use]
    pub fn classes(&self) -> Option<u32> {
        match &self.source {
            Source::Folder(folder) => Some(folder.classes()),
            Source::Labelled(images) => images.classes(),
            Source::Cifar(cifar) => Some(cifar.classes()),
            Source::Arrays(_) => None,
            Source::Parquet(files) => files.classes(),
        }
    }

    /// SHA-256 of the data's identity.
    ///
    /// For `cifar10` and `cifar100` it covers all rows in their binary form, for other files all
    /// bytes of the files or, in an archive, of the two arrays. For an image folder it covers the
    /// listing: relative path, length in bytes and label of every file, in index order. The listing
    /// changes when a file is added, removed, renamed, moved or re-encoded to another length. It
    /// does not change when the content of a file changes at the same length: reading all of
    /// ImageNet would take minutes before a sweep could be submitted.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self) -> Result<[u8; 32], DataError> {
        match &self.source {
            Source::Folder(folder) => Ok(folder.digest()),
            Source::Labelled(images) => Ok(images.digest()),
            Source::Cifar(cifar) => cifar.digest(),
            Source::Arrays(arrays) => arrays.digest(),
            Source::Parquet(files) => files.digest(),
        }
    }

    /// The true class of a sample.
    ///
    /// # Errors
    /// When the index is past the end.
    pub fn label(&self, index: SampleIndex) -> Result<Class, DataError> {
        let place = self.place(index)?;
        Ok(match &self.source {
            Source::Folder(folder) => folder.label(place),
            Source::Labelled(images) => images.label(place),
            Source::Cifar(cifar) => cifar.label(place),
            Source::Arrays(arrays) => arrays.label(place),
            Source::Parquet(files) => files.label(place),
        })
    }

    /// Returns true if the file says that a sample belongs to the test images, with which no
    /// network should be trained.
    ///
    /// # Errors
    /// When the index is past the end.
    pub fn is_for_tests(&self, index: SampleIndex) -> Result<bool, DataError> {
        let place = self.place(index)?;
        Ok(match &self.source {
            Source::Folder(_) | Source::Labelled(_) => false,
            Source::Cifar(cifar) => cifar.is_for_tests(place),
            Source::Arrays(arrays) => arrays.is_for_tests(),
            Source::Parquet(files) => files.is_for_tests(),
        })
    }

    /// Returns true if the format makes every value a byte divided by 255.
    fn holds_bytes(&self) -> bool {
        match &self.source {
            Source::Folder(_) | Source::Labelled(_) | Source::Cifar(_) | Source::Parquet(_) => true,
            Source::Arrays(arrays) => arrays.holds_bytes(),
        }
    }

    /// The file that contains a sample.
    ///
    /// # Errors
    /// When the index is past the end.
    pub fn file(&self, index: SampleIndex) -> Result<PathBuf, DataError> {
        Ok(self.file_at(self.place(index)?))
    }

    /// The image of a sample, resized and cropped as specified. Without a resize or crop every
    /// image has its own size.
    ///
    /// # Errors
    /// When the index is past the end, or when this image cannot be read: [`DataError::Sample`].
    pub fn image(&self, index: SampleIndex) -> Result<Image, DataError> {
        self.read(index, None)
    }

    /// The image of a sample, for a network that takes only images of this shape (channels, height,
    /// width).
    ///
    /// # Errors
    /// As [`Self::image`], and when the image has another shape.
    pub fn image_of_shape(
        &self,
        index: SampleIndex,
        shape: [usize; 3],
    ) -> Result<Image, DataError> {
        self.read(index, Some(shape))
    }

    /// The folders outside the dataset that links in it lead to.
    #[must_use]
    pub fn linked_folders(&self) -> Vec<PathBuf> {
        let linked = match &self.source {
            Source::Folder(folder) => folder.linked().iter(),
            Source::Labelled(images) => images.linked().iter(),
            Source::Cifar(_) | Source::Arrays(_) | Source::Parquet(_) => return Vec::new(),
        };
        let home = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        linked
            .filter(|folder| !folder.starts_with(&home))
            .cloned()
            .collect()
    }

    /// Statements about what the data has and is not taken, and about doubtful names.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        match &self.source {
            Source::Folder(folder) => folder.notes(),
            Source::Labelled(images) => images.notes(),
            Source::Cifar(_) | Source::Arrays(_) | Source::Parquet(_) => &[],
        }
    }

    /// Returns true if images are files of any size that are not brought to one.
    fn may_differ_in_size(&self) -> bool {
        let has_sizes = matches!(
            self.source,
            Source::Folder(_) | Source::Labelled(_) | Source::Parquet(_)
        );
        has_sizes && !self.transform.fixes_size()
    }

    fn read(&self, index: SampleIndex, wanted: Option<[usize; 3]>) -> Result<Image, DataError> {
        let place = self.place(index)?;
        self.read_place(place, wanted)
            .map_err(|fault| self.sample_error(index, place, fault))
    }

    fn sample_error(&self, index: SampleIndex, place: usize, fault: Fault) -> DataError {
        DataError::Sample {
            index,
            path: self.file_at(place),
            fault,
        }
    }

    fn read_place(&self, place: usize, wanted: Option<[usize; 3]>) -> Result<Image, Fault> {
        match &self.source {
            Source::Folder(folder) => self.transformed(folder.image(place)?, wanted),
            Source::Labelled(images) => self.transformed(images.image(place)?, wanted),
            Source::Cifar(cifar) => {
                check_shape(Cifar::SHAPE, wanted)?;
                cifar.image(place)
            }
            Source::Arrays(arrays) => {
                check_shape(arrays.shape(), wanted)?;
                arrays.image(place)
            }
            Source::Parquet(files) => self.transformed(files.image(place)?, wanted),
        }
    }

    fn transformed(&self, decoded: Rgb, wanted: Option<[usize; 3]>) -> Result<Image, Fault> {
        let image = self.transform.apply(decoded)?;
        // The shape is checked first, because f32 takes four times the memory of an image's bytes.
        check_shape([3, image.height as usize, image.width as usize], wanted)?;
        Ok(to_float(&image))
    }

    fn file_at(&self, place: usize) -> PathBuf {
        match &self.source {
            Source::Folder(folder) => folder.path(place),
            Source::Labelled(images) => images.path(place),
            Source::Cifar(cifar) => cifar.path(place).to_owned(),
            Source::Arrays(_) => self.path.clone(),
            Source::Parquet(files) => files.path(place).to_owned(),
        }
    }

    /// Checks an index, and converts it to the number of a sample in memory.
    fn place(&self, index: SampleIndex) -> Result<usize, DataError> {
        if index.0 < self.len() {
            Ok(index.0 as usize)
        } else {
            Err(self.past_the_end(index))
        }
    }

    fn past_the_end(&self, index: SampleIndex) -> DataError {
        DataError::PastTheEnd {
            index,
            path: self.path.clone(),
            len: self.len(),
        }
    }
}

/// Refuses keys that the format does not support.
fn check_keys(spec: &DatasetSpec) -> Result<(), DataError> {
    let problem = misplaced_key(spec).or_else(|| {
        let is_empty = spec.resize.is_some_and(is_empty) || spec.crop == Some(0);
        is_empty.then_some("`resize` and `crop` must be at least 1 pixel")
    });
    problem.map_or(Ok(()), |what| Err(DataError::layout(&spec.path, what)))
}

fn misplaced_key(spec: &DatasetSpec) -> Option<&'static str> {
    let is_sized = spec.resize.is_some() || spec.crop.is_some();
    let is_listed = matches!(
        spec.format,
        DatasetFormat::ImageFolder | DatasetFormat::Imagenet
    );
    let is_encoded = is_listed || spec.format == DatasetFormat::Parquet;
    if spec.classes.is_some() && !is_listed {
        Some("`classes` names classes, and only image-folder and imagenet have names")
    } else if is_sized && !is_encoded {
        Some("arrays are used as they are, without `resize` and `crop`")
    } else {
        None
    }
}

fn is_empty(size: ResizeTo) -> bool {
    match size {
        ResizeTo::Shorter(side) => side == 0,
        ResizeTo::Exact { height, width } => height == 0 || width == 0,
    }
}

/// Refuses an image of another shape than `wanted`, if that is given.
fn check_shape(found: [usize; 3], wanted: Option<[usize; 3]>) -> Result<(), Fault> {
    match wanted {
        Some(expected) if expected != found => Err(Fault::Shape { found, expected }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
