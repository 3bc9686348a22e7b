//! Gaussian noise as a pure function of what it is for.
//!
//! A *chunk* of noise is known by (sweep seed, variant, sample, phase, chunk number); a [`ChunkKey`] is the SHA-256 of
//! the five. On the CPU each draw of a chunk has a xoshiro256++ generator of its own, so any range of draws can be made by
//! any thread; its 256 bits of state are the beginning of the draw's ChaCha8 stream under the key, so that generators are
//! as unrelated as a cipher can make them. On a GPU the device's own generator is seeded with the key, and makes a whole
//! chunk at once.
//!
//! Values lie in the order of memory: row, column, channel.

mod normal;

use std::ops::Range;

use ddrs_common::domain::{Phase, SampleIndex, VariantName};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// All chunks of one sample of one variant.
#[derive(Debug, Clone, Copy)]
pub struct NoiseSource<'a> {
    /// The sweep's seed.
    pub seed: u64,
    /// The variant.
    pub variant: &'a VariantName,
    /// The sample.
    pub index: SampleIndex,
}

/// What the noise of one chunk derives from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkKey([u8; 32]);

impl NoiseSource<'_> {
    /// The key of a chunk.
    #[must_use]
    pub fn chunk(&self, phase: Phase, chunk: u64) -> ChunkKey {
        let mut hash = Sha256::new();
        // Lengths first, so that no two inputs run together into the same bytes.
        for text in ["ddrs noise 2", self.variant.as_str(), phase.as_str()] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        for number in [self.seed, self.index.0, chunk] {
            hash.update(number.to_le_bytes());
        }
        ChunkKey(hash.finalize().into())
    }
}

impl ChunkKey {
    /// Standard normal values of one draw, handed to `each` block by block with the place of the first.
    fn draw(self, draw: u64, values: usize, mut each: impl FnMut(usize, &[f32])) {
        let mut seeds = ChaCha8Rng::from_seed(self.0);
        seeds.set_stream(draw);
        let mut bits = Xoshiro256PlusPlus::from_rng(&mut seeds);
        let mut block = [0.0; normal::BLOCK];
        for place in (0..values).step_by(normal::BLOCK) {
            normal::fill(&mut bits, &mut block);
            each(place, &block[..normal::BLOCK.min(values - place)]);
        }
    }

    /// `pixels + sigma * noise` for each of `draws`, one after the other, in single precision.
    #[must_use]
    pub fn noisy(self, draws: Range<u64>, pixels: &[f32], sigma: f64) -> Vec<f32> {
        let sigma = sigma as f32;
        let mut batch = vec![0.0; (draws.end - draws.start) as usize * pixels.len()];
        for (image, draw) in batch.chunks_exact_mut(pixels.len()).zip(draws) {
            self.draw(draw, pixels.len(), |place, values| {
                for ((noisy, pixel), value) in image[place..].iter_mut().zip(&pixels[place..]).zip(values) {
                    *noisy = pixel + sigma * value;
                }
            });
        }
        batch
    }

    /// Appends the noise alone of the first `draws` draws, `values` each.
    pub fn append(self, draws: u64, values: usize, noise: &mut Vec<f32>) {
        for draw in 0..draws {
            self.draw(draw, values, |_, block| noise.extend_from_slice(block));
        }
    }

    /// The seed of a device's generator.
    #[must_use]
    pub fn device_seed(self) -> i64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        i64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

#[cfg(test)]
mod tests;
