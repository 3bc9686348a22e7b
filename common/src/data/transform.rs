//! Resizes and crops as torchvision does with PIL images, and converts 8-bit RGB to f32.

use std::error::Error;

use fast_image_resize::images::{Image as Canvas, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::decode::{Rgb, check_size};
use super::{Fault, Image};
use crate::spec::{Interpolation, ResizeTo};

/// `Resize(resize, interpolation)`, then `CenterCrop(crop)`, each if it is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transform {
    pub(super) resize: Option<ResizeTo>,
    pub(super) interpolation: Interpolation,
    /// Pixels of the square cut from the centre.
    pub(super) crop: Option<u32>,
}

impl Transform {
    /// Resizes and crops an image.
    pub(super) fn apply(self, mut image: Rgb) -> Result<Rgb, Fault> {
        if let Some(size) = self.resize {
            image = resize(image, size, self.interpolation)?;
        }
        if let Some(side) = self.crop {
            image = center_crop(&image, side)?;
        }
        Ok(image)
    }

    /// Returns true if all images have the same size afterwards.
    pub(super) fn fixes_size(self) -> bool {
        self.crop.is_some() || matches!(self.resize, Some(ResizeTo::Exact { .. }))
    }
}

/// `torchvision.transforms.Resize(size, interpolation)` of a PIL image: Pillow's `resize`, a
/// convolution of 8-bit values with antialiasing.
fn resize(image: Rgb, size: ResizeTo, interpolation: Interpolation) -> Result<Rgb, Fault> {
    let (width, height) = resized(&image, size);
    if (width, height) == (image.width.into(), image.height.into()) {
        return Ok(image);
    }
    check_size(width, height)?;
    convolve(&image, width as u32, height as u32, interpolation)
        .map_err(|error| Fault::Damaged(format!("cannot be resized: {error}")))
}

/// The width and height of an image after resizing.
fn resized(image: &Rgb, size: ResizeTo) -> (u64, u64) {
    match size {
        ResizeTo::Exact { height, width } => (width.into(), height.into()),
        ResizeTo::Shorter(shorter) => {
            let width = scaled(shorter, image.width, image.height);
            (width, scaled(shorter, image.height, image.width))
        }
    }
}

/// The new length of a side when the shorter one becomes `shorter`, rounded down.
fn scaled(shorter: u32, side: u32, other: u32) -> u64 {
    if side <= other {
        u64::from(shorter)
    } else {
        u64::from(shorter) * u64::from(side) / u64::from(other)
    }
}

fn convolve(
    image: &Rgb,
    width: u32,
    height: u32,
    interpolation: Interpolation,
) -> Result<Rgb, Box<dyn Error>> {
    let source = ImageRef::new(image.width, image.height, &image.bytes, PixelType::U8x3)?;
    let mut canvas = Canvas::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter(interpolation)));
    Resizer::new().resize(&source, &mut canvas, &options)?;
    Ok(Rgb {
        width,
        height,
        bytes: canvas.into_vec(),
    })
}

fn filter(interpolation: Interpolation) -> FilterType {
    match interpolation {
        Interpolation::Bilinear => FilterType::Bilinear,
        Interpolation::Bicubic => FilterType::CatmullRom,
    }
}

/// `torchvision.transforms.CenterCrop(side)`: a side shorter than the crop is padded with black on
/// both ends.
fn center_crop(image: &Rgb, side: u32) -> Result<Rgb, Fault> {
    check_size(side.into(), side.into())?;
    let columns = Window::centered(image.width, side);
    let rows = Window::centered(image.height, side);
    let row_bytes = 3 * side as usize;
    let mut bytes = vec![0; row_bytes * side as usize];
    for row in 0..rows.count {
        let source = columns.of_source(image, rows.source + row);
        let to = (rows.target + row) * row_bytes + 3 * columns.target;
        bytes[to..to + source.len()].copy_from_slice(source);
    }
    Ok(Rgb {
        width: side,
        height: side,
        bytes,
    })
}

/// The part of a side that the crop contains, and its place in the crop.
#[derive(Clone, Copy)]
struct Window {
    source: usize,
    target: usize,
    count: usize,
}

impl Window {
    /// The bytes of these columns in one row of an image.
    fn of_source(self, image: &Rgb, row: usize) -> &[u8] {
        let from = 3 * (row * image.width as usize + self.source);
        &image.bytes[from..from + 3 * self.count]
    }

    fn centered(length: u32, crop: u32) -> Self {
        let length = length as usize;
        let crop = crop as usize;
        if crop > length {
            Self {
                source: 0,
                target: (crop - length) / 2,
                count: length,
            }
        } else {
            Self {
                source: half_to_even(length - crop),
                target: 0,
                count: crop,
            }
        }
    }
}

/// Python's `round(n / 2)`: a half goes to the even neighbour.
fn half_to_even(n: usize) -> usize {
    let half = n / 2;
    if n % 2 == 1 { half + half % 2 } else { half }
}

/// `torchvision.transforms.ToTensor()`, what a network sees: channels first, divided by 255.
pub(super) fn to_float(image: &Rgb) -> Image {
    let channel = |c: usize| image.bytes.iter().skip(c).step_by(3);
    let values = (0..3).flat_map(channel);
    Image {
        shape: [3, image.height as usize, image.width as usize],
        pixels: values.map(|&byte| f32::from(byte) / 255.0).collect(),
    }
}

#[cfg(test)]
#[path = "tests/transform.rs"]
mod tests;
