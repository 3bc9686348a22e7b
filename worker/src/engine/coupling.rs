//! Refuses a network whose scores for an image depend on the other images of its pass, or on random
//! numbers that it draws. The draws of an input would then not be independent, and the bound on a
//! class's probability would hold for nothing.
//!
//! A few images are scored twice in the same pass, and once with other images, in other rows. The
//! two companies are as unlike as they can be: dark ones with little contrast, then bright ones
//! with much. Statistics of the batch differ between them by more than any rounding.

use anyhow::{Context, Result, ensure};
use ddrs_common::spec::Precision;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tch::{Device, Kind, TchError, Tensor};

use crate::failure::brief;

/// The number of images that are compared, and of each company.
const IMAGES: usize = 3;

/// The scores of a batch of normalised images, one row per image.
type Scores<'a> = &'a dyn Fn(&Tensor) -> Result<Tensor, TchError>;

/// The largest change of a score that rounding explains, relative to the largest score: a kernel
/// may sum in another order in another row. It is many times what was ever seen, and a small part
/// of what statistics of a batch cause.
pub(super) fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::Fp32 => 1e-3,
        Precision::Tf32 | Precision::Fp16 => 1e-2,
        Precision::Bf16 => 5e-2,
    }
}

/// A network with images to try it on: those that are compared, then the two companies.
pub(super) struct CouplingTrial<'a> {
    scores: Scores<'a>,
    classes: usize,
    images: Tensor,
}

impl<'a> CouplingTrial<'a> {
    /// Prepares the trial of a network for images of this shape, in its number format.
    pub(super) fn new(
        scores: Scores<'a>,
        classes: u32,
        shape: [usize; 3],
        device: Device,
        kind: Kind,
    ) -> Result<Self> {
        Ok(Self {
            scores,
            classes: classes as usize,
            images: trial_images(shape, device, kind).map_err(brief)?,
        })
    }

    /// Checks that the scores of an image depend on that image alone.
    ///
    /// # Errors
    /// When they change by more than `tolerance` of the largest score.
    pub(super) fn check(&self, tolerance: f64) -> Result<()> {
        let [watched, dark, bright] = [0, 1, 2].map(|group| group * IMAGES..(group + 1) * IMAGES);
        let first = self.pass(watched.clone().chain(dark.clone()))?;
        let again = self.pass(watched.clone().chain(dark))?;
        let other = self.pass(bright.chain(watched.rev()))?;
        let largest = largest_score(&first[..IMAGES]);
        let repeated = largest_change(&first[..IMAGES], again[..IMAGES].iter()) / largest;
        ensure!(
            is_rounding(repeated, tolerance),
            "the scores of the same images differ between two passes by {repeated:.2e} of the \
             largest score, more than rounding explains ({tolerance:e}): the program draws random \
             numbers, as dropout does in training mode; call eval() before you trace \
             or script it, and export it again"
        );
        let moved = largest_change(&first[..IMAGES], other[IMAGES..].iter().rev()) / largest;
        ensure!(
            is_rounding(moved, tolerance),
            "the scores of an image change with the other images of its pass by {moved:.2e} of \
             the largest score, more than rounding explains ({tolerance:e}), so its draws are not \
             independent and certify nothing: the program was probably traced in training mode, \
             where batch normalisation uses the statistics of the batch; call eval() before you \
             trace or script it, and export it again"
        );
        Ok(())
    }

    /// Scores the images with these numbers in one pass.
    fn pass(&self, images: impl Iterator<Item = usize>) -> Result<Vec<Vec<f64>>> {
        let places: Vec<i64> = images.map(|image| image as i64).collect();
        let scored = self.score(&places).map_err(brief);
        let scores = scored
            .with_context(|| format!("{} images cannot be scored in one pass", places.len()))?;
        ensure!(
            scores.len() == places.len() * self.classes,
            "the model gives {} scores for {} images of {} classes",
            scores.len(),
            places.len(),
            self.classes
        );
        Ok(scores.chunks(self.classes).map(<[f64]>::to_vec).collect())
    }

    fn score(&self, places: &[i64]) -> Result<Vec<f64>, TchError> {
        let places = Tensor::f_from_slice(places)?.f_to(self.images.device())?;
        let batch = self.images.f_index_select(0, &places)?;
        let scores = (self.scores)(&batch.f_permute([0, 3, 1, 2])?)?;
        Vec::try_from(
            scores
                .f_to_kind(Kind::Double)?
                .f_contiguous()?
                .f_view([-1])?,
        )
    }
}

fn largest_score(scores: &[Vec<f64>]) -> f64 {
    let finite = scores.iter().flatten().filter(|score| score.is_finite());
    finite.fold(0.0, |largest, score| largest.max(score.abs()))
}

/// A change of 0 relative to scores that are all 0 is NaN, and counts as no change.
fn is_rounding(change: f64, tolerance: f64) -> bool {
    change.is_nan() || change <= tolerance
}

fn largest_change<'a>(one: &[Vec<f64>], other: impl Iterator<Item = &'a Vec<f64>>) -> f64 {
    let scores = one.iter().flatten().zip(other.flatten());
    scores.map(|(&a, &b)| change(a, b)).fold(0.0, f64::max)
}

/// The change of a score. Scores that are not finite end a sample later; here only one that is
/// finite in one pass alone is a change.
fn change(one: f64, other: f64) -> f64 {
    match (one.is_finite(), other.is_finite()) {
        (true, true) => (one - other).abs(),
        (false, false) => 0.0,
        _ => f64::INFINITY,
    }
}

/// Makes images of shape (channels, height, width) in memory order, on the device and in the number
/// format of the network.
fn trial_images(shape: [usize; 3], device: Device, kind: Kind) -> Result<Tensor, TchError> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let size = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..3 * IMAGES)
        .flat_map(|image| random_image(&mut random, image, size))
        .collect();
    let [channels, height, width] = shape.map(|side| side as i64);
    Tensor::f_from_slice(&values)?
        .f_view([3 * IMAGES as i64, height, width, channels])?
        .f_to(device)?
        .f_to_kind(kind)
}

/// Makes one normalised image: around 0 if it is compared, else dark or bright.
fn random_image(random: &mut Xoshiro256PlusPlus, image: usize, size: usize) -> Vec<f32> {
    let (brightness, contrast) = match image / IMAGES {
        0 => (0.0, 1.0),
        1 => (-1.5, 0.25),
        _ => (1.5, 2.0),
    };
    let mut value = || brightness + contrast * random.random_range(-1.0..1.0);
    (0..size).map(|_| value()).collect()
}

#[cfg(test)]
mod tests;
