//! A dataset of one array of images and one of labels.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::array::{Array, ImageArray};
use super::bytes::ByteRange;
use super::{DataError, Fault, Image};
use crate::domain::Class;
use crate::spec::{DatasetSpec, PixelLayout};

/// The images, and their labels in memory.
#[derive(Debug)]
pub(super) struct ArraySet {
    path: PathBuf,
    images: ImageArray,
    labels: Vec<Class>,
    /// The bytes that the digest covers, in this order.
    identity: Vec<ByteRange>,
    is_for_tests: bool,
}

impl ArraySet {
    /// Joins images and labels, and reads the labels. `usual` is the layout of images of this
    /// format, if it has one.
    pub(super) fn new(
        spec: &DatasetSpec,
        [images, labels]: [Array; 2],
        usual: Option<PixelLayout>,
        identity: Vec<ByteRange>,
    ) -> Result<Self, DataError> {
        let images = ImageArray::new(images, spec.layout, usual)?;
        let labels = labels.classes(images.len())?;
        Ok(Self {
            path: spec.path.clone(),
            images,
            labels,
            identity,
            is_for_tests: false,
        })
    }

    /// Marks the images as those that no network should be trained with.
    pub(super) fn for_tests(self, is_for_tests: bool) -> Self {
        Self {
            is_for_tests,
            ..self
        }
    }

    pub(super) fn is_for_tests(&self) -> bool {
        self.is_for_tests
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn label(&self, place: usize) -> Class {
        self.labels[place]
    }

    /// Returns true if every value is a byte divided by 255.
    pub(super) fn holds_bytes(&self) -> bool {
        self.images.holds_bytes()
    }

    /// Channels, height and width of every image.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.images.shape()
    }

    pub(super) fn image(&self, place: usize) -> Result<Image, Fault> {
        self.images.image(place)
    }

    /// The digest of the bytes of the identity, one range after the other.
    pub(super) fn digest(&self) -> Result<[u8; 32], DataError> {
        let mut sha = Sha256::new();
        for bytes in &self.identity {
            let hashed = bytes.hash_into(&mut sha);
            hashed.map_err(DataError::io(&self.path))?;
        }
        Ok(sha.finalize().into())
    }
}
