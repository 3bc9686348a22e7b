//! The training set in memory, and batches of it.

use std::path::Path;

use anyhow::{Result, ensure};
use ddrs_common::data::Dataset;
use ddrs_common::domain::SampleIndex;
use ddrs_common::spec::{Augmentation, DatasetSpec, Training, digest_to_hex};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tch::{Device, TchError, Tensor};

use super::check_against_data::{KeyError, check_sample_count, check_shape, key_error};
use super::crop::Crop;
use super::level_radii::LevelRadii;
use super::seed::{Purpose, seed};
use crate::device::{copy_to, pin_for};

/// Images and labels, divided into training and validation.
#[derive(Debug)]
pub(super) struct Examples {
    /// The pixels of all images, one image after another.
    pixels: Vec<f32>,
    targets: Targets,
    count: usize,
    /// Channels, height, width.
    shape: [usize; 3],
    /// Places of training images, ascending.
    pub(super) training: Vec<usize>,
    /// Places of the images that choose the best epoch, ascending.
    pub(super) validation: Vec<usize>,
}

/// The numbers that the loss compares scores with.
#[derive(Debug)]
enum Targets {
    /// The class of each image.
    Classes(Vec<i64>),
    /// The radius of each image at each level, one image after another.
    Radii(LevelRadii),
}

/// The crops and flips of one batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct RandomCrops {
    pub(super) augmentation: Augmentation,
    pub(super) seed: u64,
}

impl Examples {
    /// Decodes the samples that the specification selects, on all cores, and divides them into
    /// training and validation.
    ///
    /// # Errors
    /// [`KeyError`] when a key does not fit the data. When an image cannot be read, the error names
    /// it.
    pub(super) fn read(training: &Training, dataset: &Dataset) -> Result<Self> {
        let spec = &training.dataset;
        let count = spec.selection.count(dataset.len());
        check_sample_count(training, count)?;
        refuse_test_batch(spec, dataset, count)?;
        let targets = read_targets(training, dataset, count)?;
        let shape = dataset.image(spec.selection.index(0))?.shape;
        check_shape(training, shape)?;
        let pixels = read_pixels(spec, dataset, count, shape)?;
        let (training, validation) = split(count as usize, training);
        Ok(Self {
            pixels,
            targets,
            count: count as usize,
            shape,
            training,
            validation,
        })
    }

    /// Channels, height and width of every image.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The radii of the levels, if the training is of a selector.
    pub(super) fn level_radii(&self) -> Option<&LevelRadii> {
        match &self.targets {
            Targets::Radii(radii) => Some(radii),
            Targets::Classes(_) => None,
        }
    }

    /// The number of images for training and validation together.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Returns the training places in the order in which an epoch uses them.
    pub(super) fn order(&self, training: u64, epoch: u64) -> Vec<usize> {
        let mut order = self.training.clone();
        order.shuffle(&mut generator(training, Purpose::Order, epoch));
        order
    }

    /// Returns images of shape (B, channels, height, width) and labels of shape (B) on a device.
    pub(super) fn batch(
        &self,
        places: &[usize],
        device: Device,
    ) -> Result<(Tensor, Tensor), TchError> {
        let (images, labels) = self.prepare(places, None, device)?;
        Ok((copy_to(device, &images)?, copy_to(device, &labels)?))
    }

    /// Returns images of shape (B, channels, height, width), each cropped and flipped at random,
    /// and labels of shape (B), in memory that a device can fetch them from. For a selector the
    /// labels are radii, of shape (B, levels).
    pub(super) fn prepare(
        &self,
        places: &[usize],
        crops: Option<RandomCrops>,
        device: Device,
    ) -> Result<(Tensor, Tensor), TchError> {
        let images = self.image_tensor(places, crops)?;
        let labels = self.label_tensor(places)?;
        Ok((pin_for(device, images), pin_for(device, labels)))
    }

    fn image_tensor(
        &self,
        places: &[usize],
        crops: Option<RandomCrops>,
    ) -> Result<Tensor, TchError> {
        let pixels = self.copy_pixels(places, crops);
        Tensor::f_from_slice(&pixels)?.f_view(self.batch_shape(places.len()))
    }

    /// Returns the shape (B, channels, height, width) of a tensor of `count` images.
    fn batch_shape(&self, count: usize) -> [i64; 4] {
        let [channels, height, width] = self.shape.map(|side| side as i64);
        [count as i64, channels, height, width]
    }

    fn label_tensor(&self, places: &[usize]) -> Result<Tensor, TchError> {
        match &self.targets {
            Targets::Classes(labels) => {
                let labels: Vec<i64> = places.iter().map(|&place| labels[place]).collect();
                Tensor::f_from_slice(&labels)
            }
            Targets::Radii(radii) => radii.tensor(places),
        }
    }

    fn copy_pixels(&self, places: &[usize], crops: Option<RandomCrops>) -> Vec<f32> {
        let size: usize = self.shape.iter().product();
        let crops = crops.map(|crops| crops.draw(places.len()));
        let mut pixels = vec![0.0; places.len() * size];
        let images = pixels.par_chunks_exact_mut(size).zip(places);
        images.enumerate().for_each(|(row, (to, &place))| {
            let crop = crops.as_ref().map(|crops| crops[row]);
            self.copy_image(place, crop, to);
        });
        pixels
    }

    fn copy_image(&self, place: usize, crop: Option<Crop>, to: &mut [f32]) {
        let from = &self.pixels[place * to.len()..][..to.len()];
        match crop {
            None => to.copy_from_slice(from),
            Some(crop) => crop.copy(from, to, self.shape),
        }
    }
}

impl RandomCrops {
    fn draw(self, count: usize) -> Vec<Crop> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        (0..count)
            .map(|_| Crop::draw(self.augmentation, &mut rng))
            .collect()
    }
}

fn read_targets(training: &Training, dataset: &Dataset, count: u64) -> Result<Targets> {
    match &training.levels {
        Some(levels) => {
            let selection = &training.dataset.selection;
            let indices: Vec<SampleIndex> = (0..count).map(|i| selection.index(i)).collect();
            let data = digest_to_hex(&dataset.digest()?);
            Ok(Targets::Radii(LevelRadii::read(levels, &indices, &data)?))
        }
        None => read_labels(training, dataset, count).map(Targets::Classes),
    }
}

fn read_labels(training: &Training, dataset: &Dataset, count: u64) -> Result<Vec<i64>> {
    let selection = &training.dataset.selection;
    (0..count)
        .map(|place| label(dataset, selection.index(place), training.model.classes))
        .collect()
}

/// Refuses test images, which published datasets have in the same folder or file. The certificates
/// of a network that trained on them mean nothing.
fn refuse_test_batch(spec: &DatasetSpec, dataset: &Dataset, count: u64) -> Result<()> {
    for place in 0..count {
        refuse_test_image(dataset, spec.selection.index(place))?;
    }
    Ok(())
}

fn refuse_test_image(dataset: &Dataset, index: SampleIndex) -> Result<()> {
    let is_for_tests = dataset.is_for_tests(index)?;
    ensure!(
        !is_for_tests,
        test_images_error(index, &dataset.file(index)?)
    );
    Ok(())
}

fn test_images_error(first: SampleIndex, file: &Path) -> KeyError {
    let message = format!(
        "from sample {first} on {} has test images: set dataset.split to \"train\", or \
         dataset.limit",
        file.display()
    );
    key_error("dataset.path", message)
}

/// Decodes all images on all cores.
fn read_pixels(
    spec: &DatasetSpec,
    dataset: &Dataset,
    count: u64,
    shape: [usize; 3],
) -> Result<Vec<f32>> {
    let mut pixels = allocate_pixels(count, shape)?;
    pixels
        .par_chunks_mut(shape.iter().product())
        .enumerate()
        .try_for_each(|(place, pixels)| {
            read_image(dataset, spec.selection.index(place as u64), shape, pixels)
        })?;
    Ok(pixels)
}

fn read_image(
    dataset: &Dataset,
    index: SampleIndex,
    shape: [usize; 3],
    pixels: &mut [f32],
) -> Result<()> {
    let image = dataset.image(index)?;
    ensure!(image.shape == shape, other_shape(index, image.shape, shape));
    pixels.copy_from_slice(&image.pixels);
    Ok(())
}

fn other_shape(index: SampleIndex, found: [usize; 3], first: [usize; 3]) -> KeyError {
    let message = format!(
        "sample {index} has shape {found:?}, the first {first:?}: set dataset.resize and crop"
    );
    key_error("dataset", message)
}

/// Allocates zeros for all pixels. An operating system that promises more memory than it has ends
/// the program later, when the memory is used.
fn allocate_pixels(count: u64, shape: [usize; 3]) -> Result<Vec<f32>, KeyError> {
    let mut pixels = Vec::new();
    match checked_size(count, shape) {
        Some(size) if pixels.try_reserve_exact(size).is_ok() => {
            pixels.resize(size, 0.0);
            Ok(pixels)
        }
        _ => Err(too_large(count, shape)),
    }
}

fn checked_size(count: u64, shape: [usize; 3]) -> Option<usize> {
    let count = usize::try_from(count).ok()?;
    shape
        .iter()
        .try_fold(count, |size, &side| size.checked_mul(side))
}

fn too_large(count: u64, shape: [usize; 3]) -> KeyError {
    let gigabytes = gigabytes(count, shape);
    let message = format!(
        "{count} images of shape {shape:?} take {gigabytes:.0} GB of memory, more than there is"
    );
    key_error("dataset", message)
}

fn gigabytes(count: u64, shape: [usize; 3]) -> f64 {
    let pixels = shape.iter().map(|&side| side as f64).product::<f64>() * count as f64;
    pixels * 4e-9
}

fn label(dataset: &Dataset, index: SampleIndex, classes: u32) -> Result<i64> {
    let label = dataset.label(index)?.0;
    ensure!(
        label < classes,
        unknown_label(dataset, index, label, classes)
    );
    Ok(i64::from(label))
}

fn unknown_label(dataset: &Dataset, index: SampleIndex, label: u32, classes: u32) -> KeyError {
    let of = dataset.classes().map_or(String::new(), class_note);
    let message = format!("{classes}, but sample {index} has label {label}{of}");
    key_error("model.classes", message)
}

fn class_note(classes: u32) -> String {
    format!("; the dataset has {classes} classes")
}

/// Draws the places for validation. Returns those for training and those for validation, both
/// ascending.
fn split(count: usize, training: &Training) -> (Vec<usize>, Vec<usize>) {
    let mut places: Vec<usize> = (0..count).collect();
    places.shuffle(&mut generator(training.seed, Purpose::Validation, 0));
    let validation = places.split_off(count - training.validation as usize);
    (sorted(places), sorted(validation))
}

fn sorted(mut places: Vec<usize>) -> Vec<usize> {
    places.sort_unstable();
    places
}

fn generator(training: u64, purpose: Purpose, epoch: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed(training, purpose, epoch, 0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn images_that_no_memory_can_hold_are_refused_with_what_they_take() {
        assert_eq!(allocate_pixels(2, [3, 4, 4]).unwrap(), vec![0.0; 96]);
        for count in [1 << 60, 1 << 44, 1 << 33] {
            let error = allocate_pixels(count, [3, 1 << 10, 1 << 10]).unwrap_err();
            assert!(
                error.key == "dataset"
                    && error.message.contains(" GB of memory, more than there is"),
                "{error}"
            );
        }
    }
}
