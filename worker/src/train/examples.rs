//! The training set in memory, and batches of it.

use anyhow::{Result, bail, ensure};
use ddrs_common::data::Dataset;
use ddrs_common::domain::SampleIndex;
use ddrs_common::spec::{Augmentation, Training};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tch::{Device, TchError, Tensor};

use super::seed::{Purpose, seed};

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

#[expect(clippy::len_without_is_empty, reason = "an empty training set is refused")]
impl Examples {
    /// Decodes what the specification takes of the dataset, on all cores, and keeps some back for validation.
    ///
    /// # Errors
    /// When the dataset cannot be read, is too small, or its images differ in shape; names the sample.
    pub fn read(training: &Training) -> Result<Self> {
        let spec = &training.dataset;
        let dataset = Dataset::open(spec)?;
        let after = dataset.len().saturating_sub(spec.offset).div_ceil(spec.stride.get());
        let count = spec.limit.map_or(after, |limit| limit.get().min(after));
        let needed = training.validation.saturating_add(training.batch.get());
        ensure!(
            count >= needed,
            "{}: {count} samples are too few for validation.samples = {} and one batch of {}",
            spec.path.display(),
            training.validation,
            training.batch
        );
        let index = |place: u64| SampleIndex(spec.offset + place * spec.stride.get());
        let labels = (0..count).map(|place| label(&dataset, index(place), training.model.classes));
        let labels = labels.collect::<Result<Vec<_>>>()?;
        let shape = dataset.image(index(0))?.shape;
        let mut pixels = vec![0.0; count as usize * shape.iter().product::<usize>()];
        pixels.par_chunks_mut(shape.iter().product()).enumerate().try_for_each(|(place, pixels)| {
            let index = index(place as u64);
            let image = dataset.image(index)?;
            if image.shape != shape {
                bail!("sample {index} has shape {:?}, the first {shape:?}: set dataset.resize and crop", image.shape);
            }
            pixels.copy_from_slice(&image.pixels);
            Ok(())
        })?;
        let (training, validation) = split(count as usize, training);
        Ok(Self { pixels, labels, shape, training, validation })
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
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed(training, Purpose::Order, epoch, 0)));
        order
    }

    /// Images of shape (B, channels, height, width), each cut and mirrored at random as `augmentation` says, and labels
    /// of shape (B).
    ///
    /// # Errors
    /// What torch reports.
    pub fn batch(
        &self,
        places: &[usize],
        augmentation: Option<(Augmentation, u64)>,
        device: Device,
    ) -> Result<(Tensor, Tensor), TchError> {
        let size: usize = self.shape.iter().product();
        let mut pixels = vec![0.0; places.len() * size];
        let mut rng = ChaCha8Rng::seed_from_u64(augmentation.map_or(0, |(_, seed)| seed));
        for (&place, to) in places.iter().zip(pixels.chunks_exact_mut(size)) {
            let from = &self.pixels[place * size..(place + 1) * size];
            match augmentation {
                None => to.copy_from_slice(from),
                Some((spec, _)) => {
                    let padding = spec.crop_padding as usize;
                    let mut shift = || rng.random_range(0..=2 * padding);
                    let (down, right) = (shift(), shift());
                    let mirrored = spec.flip && rng.random::<bool>();
                    window(from, to, self.shape, padding, (down, right), mirrored);
                }
            }
        }
        let labels: Vec<i64> = places.iter().map(|&place| self.labels[place]).collect();
        let [channels, height, width] = self.shape.map(|side| side as i64);
        let images = Tensor::f_from_slice(&pixels)?.f_view([places.len() as i64, channels, height, width])?;
        Ok((images.f_to(device)?, Tensor::f_from_slice(&labels)?.f_to(device)?))
    }
}

fn label(dataset: &Dataset, index: SampleIndex, classes: u32) -> Result<i64> {
    let label = dataset.label(index)?;
    ensure!(label.0 < classes, "sample {index} has label {}, model.classes is {classes}", label.0);
    Ok(i64::from(label.0))
}

/// Draws the places kept back; both lists ascend.
fn split(count: usize, training: &Training) -> (Vec<usize>, Vec<usize>) {
    let mut places: Vec<usize> = (0..count).collect();
    places.shuffle(&mut ChaCha8Rng::seed_from_u64(seed(training.seed, Purpose::Validation, 0, 0)));
    let mut validation = places.split_off(count - training.validation as usize);
    places.sort_unstable();
    validation.sort_unstable();
    (places, validation)
}

/// Copies the window of an image with `padding` zeros around it that begins `down` and `right`, mirrored or not.
fn window(
    from: &[f32],
    to: &mut [f32],
    [_, height, width]: [usize; 3],
    padding: usize,
    (down, right): (usize, usize),
    mirrored: bool,
) {
    for (from, to) in from.chunks_exact(height * width).zip(to.chunks_exact_mut(height * width)) {
        for (row, to) in to.chunks_exact_mut(width).enumerate() {
            let Some(row) = (row + down).checked_sub(padding).filter(|&row| row < height) else { continue };
            let from = &from[row * width..(row + 1) * width];
            for (column, to) in to.iter_mut().enumerate() {
                let column = if mirrored { width - 1 - column } else { column };
                if let Some(value) = (column + right).checked_sub(padding).and_then(|column| from.get(column)) {
                    *to = *value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

    fn cut(shift: (usize, usize), mirrored: bool) -> [f32; 4] {
        let mut to = [0.0; 4];
        window(&IMAGE, &mut to, [1, 2, 2], 1, shift, mirrored);
        to
    }

    #[test]
    fn a_window_in_the_middle_is_the_image() {
        assert_eq!(cut((1, 1), false), IMAGE);
        assert_eq!(cut((1, 1), true), [2.0, 1.0, 4.0, 3.0]);
    }

    #[test]
    fn a_window_at_the_edge_holds_zeros() {
        assert_eq!(cut((0, 1), false), [0.0, 0.0, 1.0, 2.0]);
        assert_eq!(cut((2, 1), false), [3.0, 4.0, 0.0, 0.0]);
        assert_eq!(cut((1, 0), false), [0.0, 1.0, 0.0, 3.0]);
        assert_eq!(cut((1, 2), true), [0.0, 2.0, 0.0, 4.0]);
        assert_eq!(cut((2, 2), false), [4.0, 0.0, 0.0, 0.0]);
    }
}
