//! A sample as forward passes need it.

use std::sync::{Mutex, PoisonError};

use ddrs_common::data::Image;
use ddrs_common::domain::SampleIndex;
use ddrs_common::grid::{Grid, GridImage};
use tch::{Device, TchError, Tensor};

use super::network::LoadedNetwork;
use super::sample::Sample;
use crate::device::move_to;

/// A sample whose pixels are in memory order: row, column, channel.
pub(super) struct PreparedInput {
    pub(super) index: SampleIndex,
    pub(super) position: u64,
    /// Values in \[0, 1\].
    pub(super) pixels: Vec<f32>,
    /// The pixels in steps of the grid.
    pub(super) grid_image: GridImage,
    /// Pixels normalised for the network. Noise that is added to them must be divided by the
    /// channel's standard deviation.
    pub(super) normalised: Vec<f32>,
    /// The normalised pixels on the device, after the first call of [`on`](Self::on).
    on_device: Mutex<Option<Tensor>>,
    /// The steps there, after the first call of [`steps_on`](Self::steps_on).
    steps_on_device: Mutex<Option<Tensor>>,
}

impl PreparedInput {
    /// Prepares a sample for a network.
    ///
    /// # Errors
    /// When the image has another shape, or a value that is not finite. Not every network's scores
    /// would show such a value.
    pub(super) fn new(
        sample: &Sample,
        network: &LoadedNetwork,
        grid: Grid,
    ) -> Result<Self, String> {
        network.check_shape(&sample.image)?;
        let pixels = channels_innermost(&sample.image);
        let normalised = normalise(&pixels, network.normalisation());
        if normalised.iter().any(|value| !value.is_finite()) {
            return Err("the image, normalised, is not all finite".to_owned());
        }
        Ok(Self {
            index: sample.index,
            position: sample.position,
            grid_image: GridImage::new(grid, &pixels).map_err(|error| error.to_string())?,
            pixels,
            normalised,
            on_device: Mutex::default(),
            steps_on_device: Mutex::default(),
        })
    }

    /// Returns the normalised image on a device, in the shape of its memory. The image is copied
    /// there once, however many passes it is part of, and without a wait for the GPU's work.
    pub(super) fn on(&self, device: Device, shape: [i64; 4]) -> Result<Tensor, TchError> {
        kept(&self.on_device, || {
            let image = Tensor::f_from_slice(&self.normalised)?;
            move_to(device, image.f_view(shape)?)
        })
    }

    /// Returns the image in steps of the grid on a device, as whole numbers of 64 bits, in the same
    /// way.
    pub(super) fn steps_on(&self, device: Device, shape: [i64; 4]) -> Result<Tensor, TchError> {
        kept(&self.steps_on_device, || {
            let steps: Vec<i64> = self
                .grid_image
                .steps
                .iter()
                .map(|&s| i64::from(s))
                .collect();
            move_to(device, Tensor::f_from_slice(&steps)?.f_view(shape)?)
        })
    }
}

/// Returns the tensor that is kept, or makes and keeps it.
fn kept(
    place: &Mutex<Option<Tensor>>,
    make: impl FnOnce() -> Result<Tensor, TchError>,
) -> Result<Tensor, TchError> {
    // A tensor is stored whole, so a panic elsewhere leaves nothing half written.
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(tensor) = &*place {
        return Ok(tensor.shallow_clone());
    }
    let tensor = make()?;
    *place = Some(tensor.shallow_clone());
    Ok(tensor)
}

fn normalise(pixels: &[f32], channels: &[(f64, f64)]) -> Vec<f32> {
    pixels
        .iter()
        .zip(channels.iter().cycle())
        .map(|(&pixel, &(mean, std))| normalised(pixel, mean, std))
        .collect()
}

fn normalised(pixel: f32, mean: f64, std: f64) -> f32 {
    ((f64::from(pixel) - mean) / std) as f32
}

/// Returns the pixels of an image in the order row, column, channel.
fn channels_innermost(image: &Image) -> Vec<f32> {
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
        let expected = [0.0, 10.0, 1.0, 11.0, 2.0, 12.0];
        assert_eq!(channels_innermost(&image), expected);
    }
}
