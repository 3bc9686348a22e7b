//! Datasets as f32 images in \[0, 1\].

use crate::domain::{Class, SampleIndex};
use crate::spec::DatasetSpec;

/// One image, channels first.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// `channels * height * width` values in \[0, 1\], row by row, channel after channel.
    pub pixels: Vec<f32>,
}

/// An opened dataset: its index is known, its images are read one by one.
pub struct Dataset {}

impl Dataset {
    /// Reads the index (folder listing, file lengths, headers), not the images.
    pub fn open(_spec: &DatasetSpec) -> Result<Self, DataError> {
        unimplemented!()
    }
    /// How many samples the dataset has.
    pub fn len(&self) -> u64 {
        unimplemented!()
    }
    /// How many classes its labels can tell apart, where the format says.
    pub fn classes(&self) -> Option<u32> {
        unimplemented!()
    }
    /// SHA-256 of what identifies the data.
    pub fn digest(&self) -> Result<[u8; 32], DataError> {
        unimplemented!()
    }
    /// The true class of a sample.
    pub fn label(&self, _index: SampleIndex) -> Result<Class, DataError> {
        unimplemented!()
    }
    /// The image of a sample, resized and cropped as specified.
    pub fn image(&self, _index: SampleIndex) -> Result<Image, DataError> {
        unimplemented!()
    }
}

/// Why data cannot be read; names the file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DataError(String);
