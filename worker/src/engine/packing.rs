//! Measures the best number of images per forward pass, and decides which rows may share one.
//!
//! Records must depend on neither. So a pass takes another number of images than the specification
//! leads to only if the network then gives an image the same scores, to the last bit. Rows of
//! several samples share a pass only if an image has the same scores in every row. Matrix products
//! may sum in another order in the last rows than in the first, and libraries choose kernels by
//! shape.
//!
//! **Checked:** seven random images, each in *every* row of a pass of each size, next to the other
//! six in turn. All scores of an image must have the same bits, in all rows and in all sizes that
//! are used.
//!
//! [`super::coupling`] checks that other neighbours change no bit, and refuses a network otherwise.
//!
//! **Assumed:** the order of the sums depends on neither the numbers nor the neighbouring images,
//! so that a result for a few images holds for all. `doctor --compare` tests this on the number of
//! noisy images that it is given.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tch::{Device, Kind, TchError, Tensor};

use super::batch_mode::BatchMode;
use super::network::LoadedNetwork;
use crate::failure::brief;

/// The number of different images. Each size is tried with this number of passes, each of which
/// begins with another image, so that each image is in every row once.
const IMAGES: usize = 7;
/// The share of the time that another size than the first must save to be used.
const MIN_GAIN: f64 = 0.05;

/// The rule for which rows may share a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Any rows, in any place: this network gives an image the same scores in every row, to the
    /// last bit.
    Anywhere,
    /// Rows of one request alone, each in the row that its number decides.
    InPlace,
}

/// The size of the forward passes of one network on one device, and their packing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PassShape {
    /// Images per pass.
    pub(super) rows: u64,
    pub(super) packing: Packing,
}

/// Pass shapes by network and by the number of rows that the specification leads to.
#[derive(Default)]
pub(super) struct PackingCache(Mutex<HashMap<(String, u64), PassShape>>);

impl PackingCache {
    /// Returns the shape of a network's passes. A network is measured and tried in passes of this
    /// shape once per device, however often it is loaded.
    ///
    /// # Errors
    /// When an image's scores depend on the other images of a pass.
    pub(super) fn shape(
        &self,
        network: &LoadedNetwork,
        rows: u64,
        device: Device,
        mode: BatchMode,
    ) -> Result<PassShape> {
        let key = (network.identity().to_owned(), rows);
        if let Some(&shape) = self.lock().get(&key) {
            return Ok(shape);
        }
        let tried = measure_and_try(network, rows, device, mode);
        let shape = tried.with_context(|| network.path())?;
        self.lock().insert(key, shape);
        Ok(shape)
    }

    /// Sets the shape for a network without a measurement.
    #[cfg(test)]
    pub(super) fn force(&self, network: &LoadedNetwork, rows: u64, shape: PassShape) {
        self.lock()
            .insert((network.identity().to_owned(), rows), shape);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, u64), PassShape>> {
        // Whole entries are inserted, so a panic elsewhere leaves nothing half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn measure_and_try(
    network: &LoadedNetwork,
    rows: u64,
    device: Device,
    mode: BatchMode,
) -> Result<PassShape> {
    let shape = measure(network, rows, device, mode)
        .map_err(brief)
        .with_context(|| network.failed_pass(rows))?;
    network.check_coupling(shape.rows, device)?;
    Ok(shape)
}

fn measure(
    network: &LoadedNetwork,
    rows: u64,
    device: Device,
    mode: BatchMode,
) -> Result<PassShape, TchError> {
    let scores = |batch: &Tensor| score_bits(network, batch);
    let images = random_images(network.shape(), device, network.kind())?;
    let trial = ScoringTrial::new(&scores, network.classes(), images);
    fastest(&trial, rows, mode)
}

/// Returns the fastest of a few sizes, among those that change no score.
fn fastest(trial: &ScoringTrial, rows: u64, mode: BatchMode) -> Result<PassShape, TchError> {
    let Some(reference) = trial.run(rows, None)? else {
        return Ok(PassShape {
            rows,
            packing: Packing::InPlace,
        });
    };
    let mut best = rows;
    let mut limit = reference.seconds * (1.0 - MIN_GAIN) / rows as f64;
    for rows in other_sizes(rows, mode) {
        // A size that needs more memory than there is fails, and is no candidate.
        if let Ok(Some(found)) = trial.run(rows, Some(&reference.scores))
            && found.seconds / (rows as f64) < limit
        {
            best = rows;
            limit = found.seconds / rows as f64;
        }
    }
    Ok(PassShape {
        rows: best,
        packing: Packing::Anywhere,
    })
}

/// Returns the sizes to try in addition to the first. A GPU makes the noise of a chunk at once, so
/// it tries only whole chunks.
fn other_sizes(rows: u64, mode: BatchMode) -> Vec<u64> {
    let half = Some(rows / 2).filter(|&half| mode == BatchMode::Host && half >= IMAGES as u64);
    half.into_iter().chain([2 * rows]).collect()
}

/// The bits of scores.
type ScoreBits = Vec<u32>;

/// A network with images to try it on.
struct ScoringTrial<'a> {
    /// Returns the bits of a batch's scores, row by row.
    scores: &'a dyn Fn(&Tensor) -> Result<ScoreBits, TchError>,
    classes: usize,
    images: Tensor,
}

/// The result of a trial in which every image had the same scores in every row.
struct EqualScores {
    /// The bits of each image's scores.
    scores: Vec<ScoreBits>,
    /// The fastest pass.
    seconds: f64,
}

/// The bits of the scores of one pass, with the time that it took.
struct TimedPass {
    scores: ScoreBits,
    seconds: f64,
}

impl<'a> ScoringTrial<'a> {
    fn new(
        scores: &'a dyn Fn(&Tensor) -> Result<ScoreBits, TchError>,
        classes: u32,
        images: Tensor,
    ) -> Self {
        Self {
            scores,
            classes: classes as usize,
            images,
        }
    }

    /// Scores every image in every row of passes of `rows` images. Returns `None` unless each image
    /// has the same scores in all rows, and the scores in `reference` where there are some.
    fn run(
        &self,
        rows: u64,
        reference: Option<&[ScoreBits]>,
    ) -> Result<Option<EqualScores>, TchError> {
        let mut known = known_scores(reference);
        let mut seconds = f64::INFINITY;
        for first in 0..IMAGES {
            let pass = self.time_pass(first, rows)?;
            // The first pass of a size prepares weights and kernels, so it is not timed. The
            // fastest of the others counts: it is the one least disturbed by other programs.
            if first > 0 {
                seconds = seconds.min(pass.seconds);
            }
            if !self.agrees(&pass.scores, first, rows, &mut known) {
                return Ok(None);
            }
        }
        // Every image was in row 0 once, so the scores of each are known.
        let scores = known.into_iter().flatten().collect();
        Ok(Some(EqualScores { scores, seconds }))
    }

    /// Scores one batch, whose first image is `first`.
    fn time_pass(&self, first: usize, rows: u64) -> Result<TimedPass, TchError> {
        let batch = self.batch(first, rows)?;
        let start = Instant::now();
        let scores = (self.scores)(&batch)?;
        Ok(TimedPass {
            scores,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// Returns true if the scores of a batch are those already known. Adds the scores of images
    /// that are new.
    fn agrees(
        &self,
        scores: &[u32],
        first: usize,
        rows: u64,
        known: &mut [Option<ScoreBits>],
    ) -> bool {
        // With another number of scores, the model does not take a batch as independent images.
        // Rows of several samples must not share a pass then.
        scores.len() == rows as usize * self.classes
            && scores
                .chunks_exact(self.classes)
                .enumerate()
                .all(|(row, found)| {
                    let image = &mut known[(row + first) % IMAGES];
                    *image.get_or_insert_with(|| found.to_vec()) == found
                })
    }

    /// Makes a batch that repeats the images, beginning with the image `first`.
    fn batch(&self, first: usize, rows: u64) -> Result<Tensor, TchError> {
        let places: Vec<i64> = (0..rows as usize)
            .map(|row| ((row + first) % IMAGES) as i64)
            .collect();
        let places = Tensor::f_from_slice(&places)?.f_to(self.images.device())?;
        self.images
            .f_index_select(0, &places)?
            .f_permute([0, 3, 1, 2])
    }
}

/// Returns the scores of each image that are known before a trial.
fn known_scores(reference: Option<&[ScoreBits]>) -> Vec<Option<ScoreBits>> {
    match reference {
        Some(scores) => scores.iter().cloned().map(Some).collect(),
        None => vec![None; IMAGES],
    }
}

/// Makes [`IMAGES`] images of shape (channels, height, width) in memory order, on the device and in
/// the number format of the network.
fn random_images(shape: [usize; 3], device: Device, kind: Kind) -> Result<Tensor, TchError> {
    let values = random_values(IMAGES * shape.iter().product::<usize>());
    let [channels, height, width] = shape.map(|side| side as i64);
    Tensor::f_from_slice(&values)?
        .f_view([IMAGES as i64, height, width, channels])?
        .f_to(device)?
        .f_to_kind(kind)
}

fn random_values(count: usize) -> Vec<f32> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(0);
    (0..count).map(|_| random.random_range(-2.0..2.0)).collect()
}

fn score_bits(network: &LoadedNetwork, batch: &Tensor) -> Result<ScoreBits, TchError> {
    let scores = tch::no_grad(|| network.scores(batch))?
        .f_to_kind(Kind::Float)?
        .f_contiguous()?
        .f_view([-1])?;
    let scores: Vec<f32> = Vec::try_from(scores)?;
    Ok(scores.into_iter().map(f32::to_bits).collect())
}

#[cfg(test)]
mod tests;
