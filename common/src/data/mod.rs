//! Datasets as f32 images in \[0, 1\].
//!
//! - `folder`: a folder a class, JPEG and PNG files; `decode` and `transform` turn a file into an
//!   image
//! - `cifar10`: the binary files of CIFAR-10
//! - `tensors`: safetensors with `images` and `labels`
//!
//! Opening reads the index, images are read one by one and from several threads at once.
//! Normalisation is not done here: it belongs to the model, after the noise.

mod access;
mod cifar10;
mod decode;
mod error;
mod files;
mod folder;
mod tensors;
mod transform;

pub use error::{DataError, Fault};
pub use tensors::write_tensors;

use std::path::PathBuf;

use crate::domain::{Class, SampleIndex};
use crate::roots::Roots;
use crate::spec::{DatasetFormat, DatasetSpec};
use cifar10::Cifar10;
use decode::Rgb;
use folder::ImageFolder;
use tensors::Tensors;
use transform::{Transform, to_float};

/// The most samples that a file may hold: more than any dataset, and as many labels as memory
/// holds.
pub const MAX_SAMPLES: u64 = 100_000_000;

/// One image, channels first.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// `channels * height * width` values in \[0, 1\], row by row, channel after channel.
    pub pixels: Vec<f32>,
}

/// An opened dataset of at least one sample: its index is known, its images are read one by one.
#[derive(Debug)]
pub struct Dataset {
    path: PathBuf,
    source: Source,
    transform: Transform,
}

#[derive(Debug)]
enum Source {
    Folder(ImageFolder),
    Cifar10(Cifar10),
    Tensors(Tensors),
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
    /// or when the specification asks of a format what it does not have. The message names the
    /// file.
    pub fn open(spec: &DatasetSpec) -> Result<Self, DataError> {
        Self::open_under(spec, &Roots::anywhere())
    }

    /// As [`Self::open`], where the specification comes from someone else: every file, now and
    /// later, must lie under `roots`, links resolved.
    ///
    /// # Errors
    /// As [`Self::open`], and when a file, or what a link leads to, lies outside.
    pub fn open_under(spec: &DatasetSpec, roots: &Roots) -> Result<Self, DataError> {
        let path = spec.path.as_path();
        refuse_what_the_format_lacks(spec)?;
        let source = match spec.format {
            DatasetFormat::ImageFolder => {
                Source::Folder(ImageFolder::open(path, spec.classes.as_deref(), roots)?)
            }
            DatasetFormat::Cifar10 => Source::Cifar10(Cifar10::open(path, roots)?),
            DatasetFormat::Tensors => Source::Tensors(Tensors::open(path, roots)?),
        };
        let transform = Transform {
            resize: spec.resize,
            crop: spec.crop,
        };
        Ok(Self {
            path: path.to_owned(),
            source,
            transform,
        })
    }

    /// How many samples the dataset has.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.source {
            Source::Folder(folder) => folder.len() as u64,
            Source::Cifar10(cifar) => cifar.len() as u64,
            Source::Tensors(tensors) => tensors.len() as u64,
        }
    }

    /// How many classes its labels can tell apart, where the format says.
    #[must_use]
    pub fn classes(&self) -> Option<u32> {
        match &self.source {
            Source::Folder(folder) => Some(folder.classes()),
            Source::Cifar10(_) => Some(cifar10::CLASSES),
            Source::Tensors(_) => None,
        }
    }

    /// SHA-256 of what identifies the data.
    ///
    /// Of `cifar10` and `tensors`, of all bytes of the files, in order. Of an image folder, of its
    /// listing: relative path, length in bytes and label of every file, in index order. The listing
    /// changes when a file is added, removed, renamed, moved or re-encoded to another length. It
    /// does not notice a file whose content changed at the same length: reading all of ImageNet
    /// would take minutes before a sweep could be submitted.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self) -> Result<[u8; 32], DataError> {
        match &self.source {
            Source::Folder(folder) => Ok(folder.digest()),
            Source::Cifar10(cifar) => cifar.digest(),
            Source::Tensors(tensors) => tensors.digest(),
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
            Source::Cifar10(cifar) => cifar.label(place),
            Source::Tensors(tensors) => tensors.label(place),
        })
    }

    /// The file that a sample is in.
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

    /// As [`Self::image`], for a network that takes images of this shape (channels, height, width)
    /// only.
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

    /// The folders outside the dataset's own that links in it lead into.
    #[must_use]
    pub fn linked_folders(&self) -> Vec<PathBuf> {
        let Source::Folder(folder) = &self.source else {
            return Vec::new();
        };
        let home = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        folder
            .linked()
            .iter()
            .filter(|folder| !folder.starts_with(&home))
            .cloned()
            .collect()
    }

    fn read(&self, index: SampleIndex, wanted: Option<[usize; 3]>) -> Result<Image, DataError> {
        let place = self.place(index)?;
        // Numbers of 32 bits take four times an image's bytes, so its shape is looked at first.
        let seen = |decoded: Result<Rgb, Fault>| {
            let image = self.transform.apply(decoded?)?;
            admit([3, image.height as usize, image.width as usize], wanted)?;
            Ok(to_float(&image))
        };
        let image = match &self.source {
            Source::Folder(folder) => seen(folder.image(place)),
            Source::Cifar10(cifar) => seen(cifar.image(place)),
            Source::Tensors(tensors) => {
                admit(tensors.shape(), wanted).and_then(|()| tensors.image(place))
            }
        };
        image.map_err(|fault| DataError::Sample {
            index,
            path: self.file_at(place),
            fault,
        })
    }

    fn file_at(&self, place: usize) -> PathBuf {
        match &self.source {
            Source::Folder(folder) => folder.path(place),
            Source::Cifar10(cifar) => cifar.path(place).to_owned(),
            Source::Tensors(_) => self.path.clone(),
        }
    }

    /// The index as a place in this machine's memory, which exists.
    fn place(&self, index: SampleIndex) -> Result<usize, DataError> {
        if index.0 < self.len() {
            Ok(index.0 as usize)
        } else {
            Err(DataError::PastTheEnd {
                index,
                path: self.path.clone(),
                len: self.len(),
            })
        }
    }
}

fn refuse_what_the_format_lacks(spec: &DatasetSpec) -> Result<(), DataError> {
    let refuse = |what: &str| Err(DataError::layout(&spec.path, what));
    if spec.classes.is_some() && spec.format != DatasetFormat::ImageFolder {
        return refuse("`classes` names folders, and only an image-folder has them");
    }
    if (spec.resize.is_some() || spec.crop.is_some()) && spec.format == DatasetFormat::Tensors {
        return refuse("tensors are taken as they are, without `resize` and `crop`");
    }
    if spec.resize == Some(0) || spec.crop == Some(0) {
        return refuse("`resize` and `crop` must be at least 1 pixel");
    }
    Ok(())
}

/// Refuses an image of another shape than the one that is wanted, if one is.
fn admit(found: [usize; 3], wanted: Option<[usize; 3]>) -> Result<(), Fault> {
    match wanted {
        Some(expected) if expected != found => Err(Fault::Shape { found, expected }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
