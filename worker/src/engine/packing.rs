//! Whether a network scores an image alike in every row of a batch, to the last bit.
//!
//! Matrix products may sum in another order in the last rows than in the first. Which sums are made in which order does
//! not depend on the numbers, so a few images that come to stand in many rows show whether it depends on the row.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tch::{Device, TchError, Tensor};

use super::Network;
use super::board::Packing;

/// Different images in a batch. Odd, so that each comes to stand at every place of a vector register.
const IMAGES: usize = 7;

/// Looks by two forward passes of `rows` images.
pub(super) fn find(network: &Network, rows: u64, device: Device) -> Result<Packing, TchError> {
    let size = network.shape().iter().product();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(0);
    let images: Vec<f32> = (0..IMAGES * size).map(|_| random.random_range(-2.0..2.0)).collect();
    let images: Vec<&[f32]> = images.chunks_exact(size).collect();
    let first = scores(network, &images, 0, rows as usize, device)?;
    if first.len() != rows as usize * network.classes() as usize {
        // Something that takes batches for what they are not; rows of several samples would only confuse it more.
        return Ok(Packing::InPlace);
    }
    let second = scores(network, &images, 3, rows as usize, device)?;
    let bits = |row: &[f32]| row.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
    let classes = network.classes() as usize;
    let alike = |scores: &[f32], from: usize| {
        scores.chunks_exact(classes).enumerate().all(|(row, found)| {
            // Rows 0 to IMAGES - 1 of the first batch are what the others are held against.
            let image = (row + from) % IMAGES;
            bits(found) == bits(&first[image * classes..(image + 1) * classes])
        })
    };
    Ok(if alike(&first, 0) && alike(&second, 3) { Packing::Anywhere } else { Packing::InPlace })
}

/// Scores of a batch that repeats the images, beginning with the image `from`.
fn scores(
    network: &Network,
    images: &[&[f32]],
    from: usize,
    rows: usize,
    device: Device,
) -> Result<Vec<f32>, TchError> {
    let values: Vec<f32> = (0..rows).flat_map(|row| images[(row + from) % IMAGES]).copied().collect();
    let [channels, height, width] = network.shape().map(|side| side as i64);
    let batch = Tensor::f_from_slice(&values)?.f_view([rows as i64, height, width, channels])?;
    let batch = batch.f_to(device)?.f_to_kind(network.kind())?.f_permute([0, 3, 1, 2])?;
    let scores = tch::no_grad(|| network.scores(&batch))?;
    Vec::try_from(scores.f_to_kind(tch::Kind::Float)?.f_contiguous()?.f_view([-1])?)
}
