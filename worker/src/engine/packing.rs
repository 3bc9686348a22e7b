//! How many images forward passes take, and whether those may be of several samples: found by
//! trying.
//!
//! Records must not depend on either. So a pass takes another number of images than the
//! specification leads to only where the network then scores an image the same, to the last bit;
//! and rows of several samples share one only where an image is scored alike in every row. Matrix
//! products may sum in another order in the last rows than in the first, and libraries choose
//! kernels by shape.
//!
//! What is checked: seven random images, each in *every* row of a pass of each size, beside the
//! other six in turn; all scores of an image must have the same bits, in all rows and in all sizes
//! that are taken. What is assumed: which sums are made in which order depends on neither the
//! numbers nor the images beside, so that what holds of seven images holds of all. `doctor
//! --compare` puts that to the test on as many noisy images as it is told to.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tch::{Device, Kind, TchError, Tensor};

use super::LoadedNetwork;
use super::Side;
use super::board::Packing;

/// Different images. As many passes are made of a size, each beginning with another image, so that
/// each image comes to stand in every row.
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
    /// Finds it, or remembers it: a device is measured once for a network, however often that is
    /// loaded.
    pub(super) fn passes(
        &self,
        network: &LoadedNetwork,
        rows: u64,
        (device, side): (Device, Side),
    ) -> Result<Passes, TchError> {
        let key = (network.identity().to_owned(), rows);
        if let Some(&passes) = self.map().get(&key) {
            return Ok(passes);
        }
        let scores = |batch: &Tensor| bits(network, batch);
        let trial = Trial::new(
            &scores,
            network.shape(),
            network.classes(),
            (device, network.kind()),
        )?;
        let passes = find(&trial, rows, side)?;
        self.map().insert(key, passes);
        Ok(passes)
    }

    /// Settles it, whatever the network is like.
    #[cfg(test)]
    pub(super) fn force(&self, network: &LoadedNetwork, rows: u64, passes: Passes) {
        self.map()
            .insert((network.identity().to_owned(), rows), passes);
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<(String, u64), Passes>> {
        // Whole entries are inserted, so a panic elsewhere leaves nothing half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fastest of a few sizes, among those that change no score.
fn find(trial: &Trial, rows: u64, side: Side) -> Result<Passes, TchError> {
    let Some((reference, seconds)) = trial.alike(rows, None)? else {
        return Ok(Passes {
            rows,
            packing: Packing::InPlace,
        });
    };
    let mut best = (rows, seconds * (1.0 - GAIN) / rows as f64);
    for rows in others(rows, side) {
        // A size for which there is not enough memory is no candidate.
        if let Ok(Some((_, seconds))) = trial.alike(rows, Some(&reference))
            && seconds / (rows as f64) < best.1
        {
            best = (rows, seconds / rows as f64);
        }
    }
    Ok(Passes {
        rows: best.0,
        packing: Packing::Anywhere,
    })
}

/// Sizes to try beside the first. A GPU makes the noise of a chunk at once, so it takes whole ones.
fn others(rows: u64, side: Side) -> Vec<u64> {
    let smaller = if side == Side::Device {
        None
    } else {
        Some(rows / 2).filter(|&half| half >= IMAGES as u64)
    };
    smaller.into_iter().chain([2 * rows]).collect()
}

/// The bits of scores.
type Bits = Vec<u32>;

/// A network and images to try it with.
struct Trial<'a> {
    /// The bits of a batch's scores, row by row.
    scores: &'a dyn Fn(&Tensor) -> Result<Bits, TchError>,
    classes: usize,
    /// IMAGES images in the order of memory, where the network is and of its kind.
    images: Tensor,
}

impl<'a> Trial<'a> {
    fn new(
        scores: &'a dyn Fn(&Tensor) -> Result<Bits, TchError>,
        shape: [usize; 3],
        classes: u32,
        (device, kind): (Device, Kind),
    ) -> Result<Self, TchError> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(0);
        let values: Vec<f32> = (0..IMAGES * shape.iter().product::<usize>())
            .map(|_| random.random_range(-2.0..2.0))
            .collect();
        let [channels, height, width] = shape.map(|side| side as i64);
        let images =
            Tensor::f_from_slice(&values)?.f_view([IMAGES as i64, height, width, channels])?;
        Ok(Self {
            scores,
            classes: classes as usize,
            images: images.f_to(device)?.f_to_kind(kind)?,
        })
    }

    /// The bits of each image's scores and the seconds of a pass of `rows` images, if an image has
    /// the same scores in every row, which `reference` holds already if there is one.
    fn alike(
        &self,
        rows: u64,
        reference: Option<&[Bits]>,
    ) -> Result<Option<(Vec<Bits>, f64)>, TchError> {
        let mut known: Vec<Option<Bits>> = reference.map_or_else(
            || vec![None; IMAGES],
            |bits| bits.iter().cloned().map(Some).collect(),
        );
        let mut seconds = f64::INFINITY;
        for from in 0..IMAGES {
            let batch = self.batch(from, rows)?;
            let start = Instant::now();
            let scores = (self.scores)(&batch)?;
            // The first pass of a size prepares weights and kernels for it. Of the others the
            // fastest counts: whatever else the machine did, it did less of it then.
            if from > 0 {
                seconds = seconds.min(start.elapsed().as_secs_f64());
            }
            if scores.len() != rows as usize * self.classes {
                // Something that takes batches for what they are not; rows of several samples would
                // only confuse it more.
                return Ok(None);
            }
            for (row, found) in scores.chunks_exact(self.classes).enumerate() {
                let image = (row + from) % IMAGES;
                if *known[image].get_or_insert_with(|| found.to_vec()) != found {
                    return Ok(None);
                }
            }
        }
        // Every image was in row 0 once, so each is known.
        Ok(Some((known.into_iter().flatten().collect(), seconds)))
    }

    /// A batch that repeats the images, beginning with the image `from`.
    fn batch(&self, from: usize, rows: u64) -> Result<Tensor, TchError> {
        let places: Vec<i64> = (0..rows as usize)
            .map(|row| ((row + from) % IMAGES) as i64)
            .collect();
        let places = Tensor::f_from_slice(&places)?.f_to(self.images.device())?;
        self.images
            .f_index_select(0, &places)?
            .f_permute([0, 3, 1, 2])
    }
}

/// The bits of a batch's scores.
fn bits(network: &LoadedNetwork, batch: &Tensor) -> Result<Bits, TchError> {
    let scores = tch::no_grad(|| network.scores(batch))?;
    let scores: Vec<f32> = Vec::try_from(
        scores
            .f_to_kind(Kind::Float)?
            .f_contiguous()?
            .f_view([-1])?,
    )?;
    Ok(scores.into_iter().map(f32::to_bits).collect())
}

#[cfg(test)]
mod tests;
