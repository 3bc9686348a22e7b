//! Random crops and flips of training images, applied before the noise.

use std::ops::Range;

use ddrs_common::spec::Augmentation;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A window of an image's size within the image and the zeros around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crop {
    /// Zeros on each side of the image.
    padding: usize,
    /// The first row and the first column of the window.
    shift: [usize; 2],
    mirrored: bool,
}

impl Crop {
    /// Draws a window.
    pub(super) fn draw(augmentation: Augmentation, rng: &mut ChaCha8Rng) -> Self {
        let padding = augmentation.crop_padding as usize;
        Self {
            padding,
            shift: [(); 2].map(|()| rng.random_range(0..=2 * padding)),
            mirrored: augmentation.flip && rng.random::<bool>(),
        }
    }

    /// Copies the window of an image to `to`, which must contain zeros.
    pub(super) fn copy(self, from: &[f32], to: &mut [f32], [_, height, width]: [usize; 3]) {
        let channels = from.chunks_exact(height * width);
        for (from, to) in channels.zip(to.chunks_exact_mut(height * width)) {
            self.copy_channel(from, to, [height, width]);
        }
    }

    fn copy_channel(self, from: &[f32], to: &mut [f32], [height, width]: [usize; 2]) {
        for (row, to) in to.chunks_exact_mut(width).enumerate() {
            if let Some(row) = self.image_row(row, height) {
                self.copy_row(&from[row * width..][..width], to);
            }
        }
    }

    /// Returns the row of the image in a row of the window; `None` among the zeros.
    fn image_row(self, row: usize, height: usize) -> Option<usize> {
        let [down, _] = self.shift;
        let row = (row + down).checked_sub(self.padding)?;
        (row < height).then_some(row)
    }

    /// Copies one row of the image into one row of the window.
    fn copy_row(self, from: &[f32], to: &mut [f32]) {
        let width = to.len();
        let Range { start, end } = self.columns(width);
        let [_, right] = self.shift;
        let from = &from[start + right - self.padding..][..end - start];
        if self.mirrored {
            copy_reversed(from, &mut to[width - end..width - start]);
        } else {
            to[start..end].copy_from_slice(from);
        }
    }

    /// Returns the columns of the window that contain columns of the image, before the window is
    /// mirrored.
    fn columns(self, width: usize) -> Range<usize> {
        let [_, right] = self.shift;
        let first = self.padding.saturating_sub(right);
        let end = (width + self.padding).saturating_sub(right).min(width);
        first..end
    }
}

fn copy_reversed(from: &[f32], to: &mut [f32]) {
    for (to, from) in to.iter_mut().rev().zip(from) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

    fn cut(shift: [usize; 2], mirrored: bool) -> [f32; 4] {
        let crop = Crop {
            padding: 1,
            shift,
            mirrored,
        };
        let mut to = [0.0; 4];
        crop.copy(&IMAGE, &mut to, [1, 2, 2]);
        to
    }

    #[test]
    fn a_window_in_the_middle_is_the_image() {
        assert_eq!(cut([1, 1], false), IMAGE);
        assert_eq!(cut([1, 1], true), [2.0, 1.0, 4.0, 3.0]);
    }

    #[test]
    fn a_window_at_the_edge_holds_zeros() {
        assert_eq!(cut([0, 1], false), [0.0, 0.0, 1.0, 2.0]);
        assert_eq!(cut([2, 1], false), [3.0, 4.0, 0.0, 0.0]);
        assert_eq!(cut([1, 0], false), [0.0, 1.0, 0.0, 3.0]);
        assert_eq!(cut([1, 2], true), [0.0, 2.0, 0.0, 4.0]);
        assert_eq!(cut([2, 2], false), [4.0, 0.0, 0.0, 0.0]);
    }

    const CHANNELS: usize = 2;
    const HEIGHT: usize = 3;
    const WIDTH: usize = 5;
    const PADDING: usize = 2;

    /// The pixel of an image with zeros around it; row and column count from the zeros.
    fn padded_pixel(image: &[f32], channel: usize, row: usize, column: usize) -> f32 {
        let inside = (PADDING..PADDING + HEIGHT).contains(&row)
            && (PADDING..PADDING + WIDTH).contains(&column);
        if inside {
            image[(channel * HEIGHT + row - PADDING) * WIDTH + column - PADDING]
        } else {
            0.0
        }
    }

    /// The pixel at a place of the window, by definition.
    fn expected(image: &[f32], crop: Crop, place: usize) -> f32 {
        let column = place % WIDTH;
        let column = if crop.mirrored {
            WIDTH - 1 - column
        } else {
            column
        };
        let row = place / WIDTH % HEIGHT;
        let [down, right] = crop.shift;
        padded_pixel(image, place / (HEIGHT * WIDTH), row + down, column + right)
    }

    fn every_crop() -> impl Iterator<Item = Crop> {
        let shifts = (0..=4).flat_map(|down| (0..=4).map(move |right| [down, right]));
        shifts.flat_map(|shift| {
            [false, true].map(|mirrored| Crop {
                padding: PADDING,
                shift,
                mirrored,
            })
        })
    }

    #[test]
    fn every_window_is_what_a_padded_image_shows() {
        let size = CHANNELS * HEIGHT * WIDTH;
        let image: Vec<f32> = (1..=size as u8).map(f32::from).collect();
        for crop in every_crop() {
            let mut found = vec![0.0; size];
            crop.copy(&image, &mut found, [CHANNELS, HEIGHT, WIDTH]);
            let expected: Vec<f32> = (0..size)
                .map(|place| expected(&image, crop, place))
                .collect();
            assert_eq!(found, expected, "{crop:?}");
        }
    }
}
