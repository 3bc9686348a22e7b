//! How many images forward passes take, and whether those may be of several samples: found by trying.
//!
//! Records must not depend on either. So a pass takes another number of images than the specification leads to only where
//! the network then scores an image the same, to the last bit; and rows of several samples share one only where an image
//! is scored alike in every row. Matrix products may sum in another order in the last rows than in the first, and libraries
//! choose kernels by shape. Which sums are made in which order does not depend on the numbers, so a few images that come
//! to stand in many rows show it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tch::{Device, TchError, Tensor};

use super::Network;
use super::board::Packing;

/// Different images in a batch. Odd, so that each comes to stand at every place of a vector register.
const IMAGES: usize = 7;
/// Another size than the first must save this share of the time, or it is not worth a change.
const GAIN: f64 = 0.05;

/// The forward passes of one network on one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passes {
    /// Images that each takes.
    pub(super) rows: u64,
    pub(super) packing: Packing,
}

/// What was found, by network and by the images that the specification leads to.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<(String, u64), Passes>>);

impl Known {
    /// Finds it, or remembers it: a device is measured once for a network, however often that is loaded.
    pub(super) fn passes(&self, network: &Network, rows: u64, device: Device) -> Result<Passes, TchError> {
        let key = (network.identity().to_owned(), rows);
        if let Some(&passes) = self.map().get(&key) {
            return Ok(passes);
        }
        let passes = find(network, rows, device)?;
        self.map().insert(key, passes);
        Ok(passes)
    }

    /// Settles it, whatever the network is like.
    #[cfg(test)]
    pub(super) fn force(&self, network: &Network, rows: u64, passes: Passes) {
        self.map().insert((network.identity().to_owned(), rows), passes);
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<(String, u64), Passes>> {
        // Whole entries are inserted, so a panic elsewhere leaves nothing half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fastest of a few sizes, among those that change no score.
fn find(network: &Network, rows: u64, device: Device) -> Result<Passes, TchError> {
    let trial = Trial::new(network, device);
    let Some((reference, seconds)) = trial.alike(rows, None)? else {
        return Ok(Passes { rows, packing: Packing::InPlace });
    };
    let mut best = (rows, seconds * (1.0 - GAIN) / rows as f64);
    for rows in others(rows, device) {
        // A size for which there is not enough memory is no candidate.
        if let Ok(Some((_, seconds))) = trial.alike(rows, Some(&reference))
            && seconds / (rows as f64) < best.1
        {
            best = (rows, seconds / rows as f64);
        }
    }
    Ok(Passes { rows: best.0, packing: Packing::Anywhere })
}

/// Sizes to try beside the first. A GPU makes the noise of a chunk at once, so it takes whole ones.
fn others(rows: u64, device: Device) -> Vec<u64> {
    let smaller = if device.is_cuda() { None } else { Some(rows / 2).filter(|&half| half >= IMAGES as u64) };
    smaller.into_iter().chain([2 * rows]).collect()
}

/// A network and images to try it with.
struct Trial<'a> {
    network: &'a Network,
    device: Device,
    /// IMAGES images in the order of memory.
    images: Vec<f32>,
}

impl<'a> Trial<'a> {
    fn new(network: &'a Network, device: Device) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(0);
        let size: usize = network.shape().iter().product();
        let images = (0..IMAGES * size).map(|_| random.random_range(-2.0..2.0)).collect();
        Self { network, device, images }
    }

    /// The bits of the images' scores and the seconds of a pass of `rows` images, if every row has the same scores as
    /// `reference` says, or as the first rows have.
    fn alike(&self, rows: u64, reference: Option<&[u32]>) -> Result<Option<(Vec<u32>, f64)>, TchError> {
        let classes = self.network.classes() as usize;
        let batches = [self.batch(0, rows)?, self.batch(3, rows)?];
        let first = self.scores(&batches[0])?;
        if first.len() != rows as usize * classes {
            // Something that takes batches for what they are not; rows of several samples would only confuse it more.
            return Ok(None);
        }
        let own: Vec<u32> = first[..(IMAGES * classes).min(first.len())].to_vec();
        let reference = reference.unwrap_or(&own);
        let same = |scores: &[u32], from: usize| {
            scores.chunks_exact(classes).enumerate().all(|(row, found)| {
                let image = (row + from) % IMAGES;
                reference.get(image * classes..(image + 1) * classes).is_none_or(|expected| found == expected)
            })
        };
        // The second pass is the one to time: the first of a size prepares weights and kernels for it.
        let start = Instant::now();
        let second = self.scores(&batches[1])?;
        let seconds = start.elapsed().as_secs_f64();
        Ok((same(&first, 0) && same(&second, 3)).then_some((own, seconds)))
    }

    /// A batch that repeats the images, beginning with the image `from`.
    fn batch(&self, from: usize, rows: u64) -> Result<Tensor, TchError> {
        let [channels, height, width] = self.network.shape().map(|side| side as i64);
        let images: Vec<&[f32]> = self.images.chunks_exact((channels * height * width) as usize).collect();
        let values: Vec<f32> = (0..rows as usize).flat_map(|row| images[(row + from) % IMAGES]).copied().collect();
        let batch = Tensor::f_from_slice(&values)?.f_view([rows as i64, height, width, channels])?;
        batch.f_to(self.device)?.f_to_kind(self.network.kind())?.f_permute([0, 3, 1, 2])
    }

    /// The bits of a batch's scores, row by row.
    fn scores(&self, batch: &Tensor) -> Result<Vec<u32>, TchError> {
        let scores = tch::no_grad(|| self.network.scores(batch))?;
        let scores: Vec<f32> = Vec::try_from(scores.f_to_kind(tch::Kind::Float)?.f_contiguous()?.f_view([-1])?)?;
        Ok(scores.into_iter().map(f32::to_bits).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_takes_whole_chunks_and_the_cpu_enough_images_to_tell() {
        assert_eq!(others(500, Device::Cuda(0)), [1000]);
        assert_eq!(others(50, Device::Cpu), [25, 100]);
        assert_eq!(others(10, Device::Cpu), [20]);
    }
}
