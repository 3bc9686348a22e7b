//! Refuses a network whose scores for an image depend on the other images of its pass. The draws of
//! an input would then not be independent, and the bound on a class's probability would hold for
//! nothing.
//!
//! A few images are tried in passes of the size that certifies. They fill half of the rows, and
//! dark images the other half, then bright ones. After that the halves change roles.
//!
//! - **Same rows, other company:** the scores must have the same bits. Arithmetic in a row may
//!   depend on the row and on the size of the pass, which are the same here. So nothing but the
//!   company can change them, and every change counts, however small.
//! - **The same pass again:** the scores must have the same bits, or records cannot be reproduced.
//! - **Other rows and another size:** rounding may differ. The change of a score is compared with
//!   the differences between the scores that decide the class.
//!
//! This is a trial, no proof: a program that was made to pass it does.

use anyhow::{Context, Result, anyhow, ensure};
use ddrs_common::spec::Precision;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tch::{Device, Kind, TchError, Tensor};

use crate::failure::brief;

/// The number of images that are watched, and of each company.
const IMAGES: usize = 7;
/// The images that are dark with little contrast, as the number of their group.
const DARK: usize = 1;
/// The images that are bright with much contrast.
const BRIGHT: usize = 2;

/// The scores of a batch of normalised images, one row per image.
type Scores<'a> = &'a dyn Fn(&Tensor) -> Result<Tensor, TchError>;

/// A network with images to try it on: those that are watched, then the two companies.
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

    /// Checks that the scores of an image depend on that image alone, in passes of `rows` images.
    ///
    /// # Errors
    /// When they change with the company, between two equal passes, or by more than rounding
    /// explains with the row or the number of images.
    pub(super) fn check(&self, rows: u64, precision: Precision) -> Result<()> {
        let reference = self.pass((0..IMAGES).collect())?;
        let rounding = Rounding::new(precision, &reference);
        for watched in halves(rows as usize) {
            let scores = self.check_company(&watched)?;
            check_rows(&watched, &scores, &reference, &rounding)?;
        }
        Ok(())
    }

    /// Scores the watched rows twice in the same company and once in another. Returns the scores
    /// of the first pass.
    fn check_company(&self, watched: &[bool]) -> Result<Vec<ScoreRow>> {
        let first = self.pass(arrangement(watched, DARK))?;
        let again = self.pass(arrangement(watched, DARK))?;
        ensure!(
            (0..watched.len()).all(|row| has_equal_bits(&first[row], &again[row])),
            "two passes of the same images give different scores, so records cannot be \
             reproduced: the program probably draws random numbers, as dropout does in training \
             mode; call eval() before you trace or script it, and export it again"
        );
        let other = self.pass(arrangement(watched, BRIGHT))?;
        if let Some(row) =
            watched_rows(watched).find(|&row| !has_equal_bits(&first[row], &other[row]))
        {
            let rows = watched.len();
            return Err(anyhow!(
                "the scores of an image in row {row} of {rows} change with the other images of its \
                 pass, so its draws are not independent and certify nothing: the program was \
                 probably traced in training mode, where batch normalisation uses the statistics \
                 of the batch; call eval() before you trace or script it, and export it again"
            ));
        }
        Ok(first)
    }

    /// Scores the images with these numbers in one pass.
    fn pass(&self, images: Vec<usize>) -> Result<Vec<ScoreRow>> {
        let places: Vec<i64> = images.into_iter().map(|image| image as i64).collect();
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
        Ok(scores.chunks(self.classes).map(<[f32]>::to_vec).collect())
    }

    fn score(&self, places: &[i64]) -> Result<Vec<f32>, TchError> {
        let places = Tensor::f_from_slice(places)?.f_to(self.images.device())?;
        let batch = self.images.f_index_select(0, &places)?;
        let scores = (self.scores)(&batch.f_permute([0, 3, 1, 2])?)?;
        Vec::try_from(
            scores
                .f_to_kind(Kind::Float)?
                .f_contiguous()?
                .f_view([-1])?,
        )
    }
}

/// The scores of one image.
type ScoreRow = Vec<f32>;

/// Splits the rows of a pass in two halves at random, so that a row meets almost every kind of
/// neighbour in the other half. A row is watched in one of them.
fn halves(rows: usize) -> [Vec<bool>; 2] {
    let mut first: Vec<bool> = (0..rows).map(|row| row % 2 == 0).collect();
    first.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(2));
    let second = first.iter().map(|&is_first| !is_first).collect();
    [first, second]
}

fn watched_rows(watched: &[bool]) -> impl Iterator<Item = usize> {
    (0..watched.len()).filter(|&row| watched[row])
}

/// Returns the number of the image in each row.
fn arrangement(watched: &[bool], company: usize) -> Vec<usize> {
    let group = |is_watched| if is_watched { 0 } else { company };
    (0..)
        .zip(watched)
        .map(|(row, &is_watched)| group(is_watched) * IMAGES + row % IMAGES)
        .collect()
}

fn has_equal_bits(one: &[f32], other: &[f32]) -> bool {
    one.iter()
        .zip(other)
        .all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
}

/// Checks the watched rows against the scores of the same images in a small pass.
fn check_rows(
    watched: &[bool],
    scores: &[ScoreRow],
    reference: &[ScoreRow],
    rounding: &Rounding,
) -> Result<()> {
    let moved = |row: &usize| !rounding.explains(&reference[row % IMAGES], &scores[*row]);
    let rows = watched.len();
    match watched_rows(watched).find(moved) {
        None => Ok(()),
        Some(row) => Err(anyhow!(
            "an image has other scores in row {row} of {rows} than in a pass of {IMAGES} images, \
             by more than rounding explains: the program depends on the row or on the number of \
             images; export it so that it scores each image by itself"
        )),
    }
}

/// The changes of scores that rounding explains where the row or the size of a pass differs:
/// kernels may sum in another order there.
struct Rounding {
    /// The change relative to the differences between scores.
    share: f64,
    /// The distance of neighbouring numbers of the format, relative to their size.
    spacing: f64,
    /// The largest difference between the best and the second best score of an image.
    gap: f64,
}

impl Rounding {
    fn new(precision: Precision, reference: &[ScoreRow]) -> Self {
        let (share, bits) = match precision {
            Precision::Fp32 => (1e-3, 23),
            Precision::Tf32 | Precision::Fp16 => (1e-2, 10),
            Precision::Bf16 => (5e-2, 7),
        };
        Self {
            share,
            spacing: 0.5_f64.powi(bits),
            gap: reference
                .iter()
                .map(|scores| gap(scores))
                .fold(0.0, f64::max),
        }
    }

    /// Returns true if rounding explains the change from `one` to `other`. The farther a score is
    /// from the best, the less it decides, and the more it may change. A few steps of the number
    /// format are always allowed.
    fn explains(&self, one: &[f32], other: &[f32]) -> bool {
        let best = one.iter().copied().filter(|score| score.is_finite());
        let best = f64::from(best.fold(f32::MIN, f32::max));
        one.iter().zip(other).all(|(&a, &b)| {
            let (a, b) = (f64::from(a), f64::from(b));
            let allowed = self.share * (self.gap + best - a) + 4.0 * self.spacing * a.abs();
            // Scores that are not finite end a sample later. Here only a change to them counts.
            match (a.is_finite(), b.is_finite()) {
                (true, true) => (a - b).abs() <= allowed,
                (a, b) => a == b,
            }
        })
    }
}

/// Returns the difference between the best and the second best finite score.
fn gap(scores: &[f32]) -> f64 {
    let mut finite: Vec<f32> = scores.iter().copied().filter(|s| s.is_finite()).collect();
    finite.sort_by(|a, b| b.total_cmp(a));
    match finite[..] {
        [best, second, ..] => f64::from(best) - f64::from(second),
        _ => 0.0,
    }
}

/// Makes images of shape (channels, height, width) in memory order, on the device and in the number
/// format of the network.
fn trial_images(shape: [usize; 3], device: Device, kind: Kind) -> Result<Tensor, TchError> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let size = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..3 * IMAGES)
        .flat_map(|image| random_image(&mut random, image / IMAGES, size))
        .collect();
    let [channels, height, width] = shape.map(|side| side as i64);
    Tensor::f_from_slice(&values)?
        .f_view([3 * IMAGES as i64, height, width, channels])?
        .f_to(device)?
        .f_to_kind(kind)
}

/// Makes one normalised image of a group: around 0 if it is watched, else dark or bright.
fn random_image(random: &mut Xoshiro256PlusPlus, group: usize, size: usize) -> Vec<f32> {
    let (brightness, contrast) = match group {
        DARK => (-1.5, 0.25),
        BRIGHT => (1.5, 2.0),
        _ => (0.0, 1.0),
    };
    let mut value = || brightness + contrast * random.random_range(-1.0..1.0);
    (0..size).map(|_| value()).collect()
}

#[cfg(test)]
mod tests;
