//! Images of a fixed pattern under noise, for networks with random weights.

use anyhow::Result;
use ddrs_common::architecture::Architecture;
use ddrs_common::domain::{Phase, SampleIndex, VariantName};
use tch::Tensor;

use super::tensors::channels_last;
use crate::noise::NoiseSource;

/// Returns noise draws around an image of a fixed pattern, at sigma 0.5.
///
/// # Errors
/// When torch cannot hold the images.
pub fn noisy_pattern(architecture: Architecture, draws: i64) -> Result<Tensor> {
    let (_, side) = architecture.usual_size();
    noisy_images(&pattern(side), [3, side, side], SampleIndex(0), 0.5, draws)
}

fn pattern(side: usize) -> Vec<f32> {
    (0..3 * side * side)
        .map(|place| (place * 7 % 256) as f32 / 255.0)
        .collect()
}

/// Returns the draws that would certify this image, as the CPU computes them, in channels-last
/// order.
///
/// # Errors
/// When torch cannot hold the images.
pub fn noisy_images(
    pixels: &[f32],
    [channels, height, width]: [usize; 3],
    index: SampleIndex,
    sigma: f64,
    draws: i64,
) -> Result<Tensor> {
    let pixels = draw_noise(pixels, index, sigma, draws);
    let shape = [draws, channels as i64, height as i64, width as i64];
    let batch = Tensor::f_from_slice(&pixels)?.f_view(shape)?;
    Ok(channels_last(&batch)?)
}

fn draw_noise(pixels: &[f32], index: SampleIndex, sigma: f64, draws: i64) -> Vec<f32> {
    let variant = VariantName::new("compare");
    let source = NoiseSource {
        seed: 0,
        variant: &variant,
        index,
    };
    let key = source.chunk(Phase::Estimate, 0);
    let scale = vec![sigma as f32; pixels.len()];
    let mut batch = vec![0f32; draws as usize * pixels.len()];
    for (image, draw) in batch.chunks_exact_mut(pixels.len()).zip(0..) {
        key.add_noise(draw, pixels, &scale, image);
    }
    batch
}
