//! An input as forward passes need it.

use std::sync::{Mutex, PoisonError};

use ddrs_common::data::Image;
use ddrs_common::domain::SampleIndex;
use tch::{Device, TchError, Tensor};

use super::LoadedNetwork;
use super::certify::Sample;
use crate::device::move_to;

/// An input in the order of memory: row, column, channel.
pub(super) struct Input {
    pub(super) index: SampleIndex,
    pub(super) position: u64,
    /// In \[0, 1\].
    pub(super) pixels: Vec<f32>,
    /// Normalised as the network wants it. Noise that is added to this must be divided by the
    /// channel's deviation.
    pub(super) normalised: Vec<f32>,
    /// The same where forward passes run, once they have.
    moved: Mutex<Option<Tensor>>,
}

impl Input {
    /// Prepares a sample for a network.
    ///
    /// # Errors
    /// When the image is of another shape, or holds something that is no number: not every
    /// network's scores would show it.
    pub(super) fn new(sample: &Sample, network: &LoadedNetwork) -> Result<Self, String> {
        network.admits(&sample.image)?;
        let pixels = rows_first(&sample.image);
        let channels = network.normalisation();
        let normalise =
            |(&pixel, &(mean, std)): (&f32, &(f64, f64))| ((f64::from(pixel) - mean) / std) as f32;
        let normalised: Vec<f32> = pixels
            .iter()
            .zip(channels.iter().cycle())
            .map(normalise)
            .collect();
        if normalised.iter().any(|value| !value.is_finite()) {
            return Err("the image, normalised, is not all finite".to_owned());
        }
        Ok(Self {
            index: sample.index,
            position: sample.position,
            pixels,
            normalised,
            moved: Mutex::default(),
        })
    }

    /// The normalised image on a device, of the shape that its memory has. It is moved there once,
    /// however many passes it takes part in, and without waiting for what a GPU is doing.
    pub(super) fn on(&self, device: Device, shape: [i64; 4]) -> Result<Tensor, TchError> {
        // A tensor is put there whole, so a panic elsewhere leaves nothing half written.
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = &*moved {
            return Ok(image.shallow_clone());
        }
        let image = move_to(
            device,
            Tensor::f_from_slice(&self.normalised)?.f_view(shape)?,
        )?;
        *moved = Some(image.shallow_clone());
        Ok(image)
    }
}

/// The pixels of an image in the order row, column, channel.
fn rows_first(image: &Image) -> Vec<f32> {
    let [channels, height, width] = image.shape;
    let plane = height * width;
    (0..plane)
        .flat_map(|place| (0..channels).map(move |channel| image.pixels[channel * plane + place]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_become_the_innermost_axis() {
        let image = Image {
            shape: [2, 1, 3],
            pixels: vec![0.0, 1.0, 2.0, 10.0, 11.0, 12.0],
        };
        assert_eq!(rows_first(&image), [0.0, 10.0, 1.0, 11.0, 2.0, 12.0]);
    }
}
