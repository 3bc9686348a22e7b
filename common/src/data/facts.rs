//! Finds what certificates and noise depend on in a dataset: the shape of its images and their
//! grid.

use super::{DataError, Dataset};
use crate::domain::Radius;
use crate::domain::{SampleIndex, Sigma};
use crate::grid::{Grid, GridImage, ImageFacts};
use crate::spec::DatasetSpec;

/// The number of images that are tried for one that can be read.
const TRIED: usize = 16;
/// The number of photographs, spread over the samples, whose sizes are compared.
const COMPARED: usize = 64;

impl Dataset {
    /// Returns the shape of the images of these samples and their grid: that of the specification,
    /// or 255 where every value is a byte, or else the finest on which noise up to `widest` can be
    /// drawn. A dataset of tensors is read up to its first value that is not a byte.
    ///
    /// # Errors
    /// When none of the first few images can be read.
    pub fn image_facts(
        &self,
        spec: &DatasetSpec,
        samples: impl Iterator<Item = SampleIndex> + Clone,
        widest: Sigma,
    ) -> Result<ImageFacts, DataError> {
        Ok(ImageFacts {
            shape: self.common_shape(samples.clone())?,
            grid: spec.grid.unwrap_or_else(|| self.grid(samples, widest)),
        })
    }

    /// Returns the shape of the images.
    ///
    /// # Errors
    /// When none of the first few can be read, or photographs that are neither cropped nor resized
    /// to one size have several.
    fn common_shape(
        &self,
        samples: impl Iterator<Item = SampleIndex> + Clone,
    ) -> Result<[usize; 3], DataError> {
        let first = self.first_shape(samples.clone())?;
        if self.may_differ_in_size() {
            let step = samples.clone().count().div_ceil(COMPARED).max(1);
            self.compare_sizes(samples.step_by(step))?;
        }
        Ok(first)
    }

    /// Refuses two samples of different shapes. Those that cannot be read fail later, alone.
    fn compare_sizes(&self, samples: impl Iterator<Item = SampleIndex>) -> Result<(), DataError> {
        let mut images = samples.filter_map(|index| Some((index, self.image(index).ok()?.shape)));
        let Some((first, shape)) = images.next() else {
            return Ok(());
        };
        match images.find(|(_, other)| *other != shape) {
            Some((index, other)) => Err(self.several_sizes([(first, shape), (index, other)])),
            None => Ok(()),
        }
    }

    fn several_sizes(&self, images: [(SampleIndex, [usize; 3]); 2]) -> DataError {
        let [first, second] = images.map(|(index, [_, height, width])| {
            let file = self.file(index).unwrap_or_else(|_| self.path.clone());
            format!("{} is {width} x {height}", file.display())
        });
        let what = format!(
            "images have several sizes: {first}, {second}; set dataset.resize and dataset.crop, \
             such as resize = 256 and crop = 224, or dataset.resize = [height, width]"
        );
        DataError::layout(&self.path, what)
    }

    /// Returns the shape of the first image that can be read.
    fn first_shape(
        &self,
        samples: impl Iterator<Item = SampleIndex>,
    ) -> Result<[usize; 3], DataError> {
        let mut failure = None;
        for index in samples.take(TRIED) {
            match self.image(index) {
                Ok(image) => return Ok(image.shape),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| self.past_the_end(SampleIndex(0))))
    }

    fn grid(&self, mut samples: impl Iterator<Item = SampleIndex>, widest: Sigma) -> Grid {
        if self.holds_bytes() || samples.all(|index| self.is_of_bytes(index)) {
            Grid::BYTES
        } else {
            Grid::finest_for(widest)
        }
    }

    /// Returns true if every value of the image is a byte divided by 255. An image that cannot be
    /// read has no certificate, so its values do not matter.
    fn is_of_bytes(&self, index: SampleIndex) -> bool {
        self.image(index).map_or(true, |image| {
            GridImage::new(Grid::BYTES, &image.pixels)
                .is_ok_and(|image| image.off_grid == Radius::ZERO)
        })
    }
}
