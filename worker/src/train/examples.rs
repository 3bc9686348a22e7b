//! The training set in memory, and batches of it.

use anyhow::Result;
use ddrs_common::data::Dataset;
use ddrs_common::domain::SampleIndex;
use ddrs_common::spec::{Augmentation, DatasetFormat, Training};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tch::{Device, TchError, Tensor};

use super::augment::window;
use super::fit::{AtKey, at, enough, fits};
use super::seed::{Purpose, seed};
use crate::device::{copy_to, pin_for};

/// Images and labels, and which of them train.
#[derive(Debug)]
pub struct Examples {
    /// All pixels, image after image.
    pixels: Vec<f32>,
    labels: Vec<i64>,
    /// Channels, height, width.
    shape: [usize; 3],
    /// Places that train, ascending.
    pub training: Vec<usize>,
    /// Places that choose the checkpoint, ascending.
    pub validation: Vec<usize>,
}

#[expect(
    clippy::len_without_is_empty,
    reason = "an empty training set is refused"
)]
impl Examples {
    /// Decodes what the specification takes of its dataset, on all cores, and keeps some back for
    /// validation.
    ///
    /// # Errors
    /// [`super::fit::AtKey`] when a key does not fit the data; when an image cannot be read, which
    /// names it.
    pub fn read(training: &Training, dataset: &Dataset) -> Result<Self> {
        let spec = &training.dataset;
        let count = spec.selection.count(dataset.len());
        enough(training, count)?;
        no_test_batch(training, dataset, count)?;
        let labels = (0..count)
            .map(|place| label(dataset, spec.selection.index(place), training.model.classes));
        let labels = labels.collect::<Result<Vec<_>>>()?;
        let shape = dataset.image(spec.selection.index(0))?.shape;
        fits(training, shape)?;
        let mut pixels = room(count, shape)?;
        pixels
            .par_chunks_mut(shape.iter().product())
            .enumerate()
            .try_for_each(|(place, pixels)| {
                let index = spec.selection.index(place as u64);
                let image = dataset.image(index)?;
                if image.shape != shape {
                    let apart = format!(
                        "sample {index} has shape {:?}, the first {shape:?}",
                        image.shape
                    );
                    return Err(
                        at("dataset", format!("{apart}: set dataset.resize and crop")).into(),
                    );
                }
                pixels.copy_from_slice(&image.pixels);
                anyhow::Ok(())
            })?;
        let (training, validation) = split(count as usize, training);
        Ok(Self {
            pixels,
            labels,
            shape,
            training,
            validation,
        })
    }

    /// Channels, height and width of every image.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// How many images there are, those for validation included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The order in which an epoch sees the training places.
    #[must_use]
    pub fn order(&self, training: u64, epoch: u64) -> Vec<usize> {
        let mut order = self.training.clone();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed(
            training,
            Purpose::Order,
            epoch,
            0,
        )));
        order
    }

    /// Images of shape (B, channels, height, width) and labels of shape (B), on a device.
    ///
    /// # Errors
    /// What torch reports.
    pub fn batch(&self, places: &[usize], device: Device) -> Result<(Tensor, Tensor), TchError> {
        let (images, labels) = self.ready(places, None, device)?;
        Ok((copy_to(device, &images)?, copy_to(device, &labels)?))
    }

    /// Images of shape (B, channels, height, width), each cut and mirrored at random as
    /// `augmentation` says, and labels of shape (B), where a device can fetch them from.
    ///
    /// # Errors
    /// What torch reports.
    pub fn ready(
        &self,
        places: &[usize],
        augmentation: Option<(Augmentation, u64)>,
        device: Device,
    ) -> Result<(Tensor, Tensor), TchError> {
        let size: usize = self.shape.iter().product();
        let mut pixels = vec![0.0; places.len() * size];
        let padding = augmentation.map_or(0, |(spec, _)| spec.crop_padding as usize);
        let windows = augmentation.map(|(spec, seed)| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut draw = || {
                let mut shift = || rng.random_range(0..=2 * padding);
                let (down, right) = (shift(), shift());
                (down, right, spec.flip && rng.random::<bool>())
            };
            places.iter().map(|_| draw()).collect::<Vec<_>>()
        });
        pixels
            .par_chunks_exact_mut(size)
            .zip(places)
            .enumerate()
            .for_each(|(row, (to, &place))| {
                let from = &self.pixels[place * size..(place + 1) * size];
                match windows.as_ref().map(|windows| windows[row]) {
                    None => to.copy_from_slice(from),
                    Some((down, right, mirrored)) => {
                        window(from, to, self.shape, padding, (down, right), mirrored)
                    }
                }
            });
        let labels: Vec<i64> = places.iter().map(|&place| self.labels[place]).collect();
        let [channels, height, width] = self.shape.map(|side| side as i64);
        let images = Tensor::f_from_slice(&pixels)?.f_view([
            places.len() as i64,
            channels,
            height,
            width,
        ])?;
        Ok((
            pin_for(device, images),
            pin_for(device, Tensor::f_from_slice(&labels)?),
        ))
    }
}

/// CIFAR-10 as published has its test images in the same folder: a network that trained on them
/// certifies nothing of note.
fn no_test_batch(training: &Training, dataset: &Dataset, count: u64) -> Result<()> {
    let spec = &training.dataset;
    if spec.format != DatasetFormat::Cifar10 {
        return Ok(());
    }
    for place in 0..count {
        let index = spec.selection.index(place);
        let file = dataset.file(index)?;
        if file.ends_with("test_batch.bin") {
            let (found, first) = (file.display(), index.0);
            let message = format!(
                "from sample {first} on it has {found}, CIFAR-10's test images: move that out of the folder, or set dataset.limit"
            );
            return Err(at("dataset.path", message).into());
        }
    }
    Ok(())
}

/// Zeros for all pixels. Where the system promises memory that it does not have, it ends the
/// program when that is used.
fn room(count: u64, shape: [usize; 3]) -> Result<Vec<f32>, AtKey> {
    let pixels = shape.iter().try_fold(
        usize::try_from(count).unwrap_or(usize::MAX),
        |all, &side| all.checked_mul(side),
    );
    let mut room = Vec::new();
    if pixels.is_none_or(|pixels| room.try_reserve_exact(pixels).is_err()) {
        let gigabytes =
            shape.iter().map(|&side| side as f64).product::<f64>() * count as f64 * 4e-9;
        let message = format!(
            "{count} images of shape {shape:?} take {gigabytes:.0} GB of memory, more than there is"
        );
        return Err(at("dataset", message));
    }
    room.resize(pixels.unwrap_or_default(), 0.0);
    Ok(room)
}

fn label(dataset: &Dataset, index: SampleIndex, classes: u32) -> Result<i64> {
    let label = dataset.label(index)?;
    if label.0 < classes {
        return Ok(i64::from(label.0));
    }
    let of = dataset.classes().map_or(String::new(), |classes| {
        format!("; the dataset has {classes} classes")
    });
    Err(at(
        "model.classes",
        format!("{classes}, but sample {index} has label {}{of}", label.0),
    )
    .into())
}

/// Draws the places kept back; both lists ascend.
fn split(count: usize, training: &Training) -> (Vec<usize>, Vec<usize>) {
    let mut places: Vec<usize> = (0..count).collect();
    places.shuffle(&mut ChaCha8Rng::seed_from_u64(seed(
        training.seed,
        Purpose::Validation,
        0,
        0,
    )));
    let mut validation = places.split_off(count - training.validation as usize);
    places.sort_unstable();
    validation.sort_unstable();
    (places, validation)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn images_that_no_memory_can_hold_are_refused_with_what_they_take() {
        assert_eq!(room(2, [3, 4, 4]).unwrap(), vec![0.0; 96]);
        for count in [1 << 60, 1 << 44, 1 << 33] {
            let error = room(count, [3, 1 << 10, 1 << 10]).unwrap_err();
            assert!(
                error.key == "dataset"
                    && error.message.contains(" GB of memory, more than there is"),
                "{error}"
            );
        }
    }
}
