//! Gaussian noise in single precision, for choosing sigma. Nothing is certified with it: its sums
//! with an image are rounded, so the last bits of a sum tell something about the image.
//!
//! A *chunk* of noise is identified by (sweep seed, variant, sample, phase, chunk number). A
//! [`ChunkKey`] is the SHA-256 of the five.
//!
//! On the CPU each draw of a chunk has a separate xoshiro256++ generator, so any thread can make
//! any range of draws. The 256 bits of its state are the beginning of the draw's ChaCha8 stream
//! under the key, which makes the generators as unrelated as a cipher can. On a GPU the device's
//! generator is seeded with the key and makes a whole chunk at once.
//!
//! Values are in memory order: row, column, channel.

mod normal;

use ddrs_common::domain::{Phase, SampleIndex, VariantName};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::NoisyValue;

/// The noise of one sample of one variant: all its chunks.
#[derive(Debug, Clone, Copy)]
pub struct NoiseSource<'a> {
    /// The sweep's seed.
    pub seed: u64,
    /// The variant.
    pub variant: &'a VariantName,
    /// The sample's index in the dataset.
    pub index: SampleIndex,
}

/// The key that the noise of one chunk is derived from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkKey([u8; 32]);

impl NoiseSource<'_> {
    /// Returns the key of a chunk.
    #[must_use]
    pub fn chunk(&self, phase: Phase, chunk: u64) -> ChunkKey {
        let mut hash = Sha256::new();
        // Lengths come first, so that two different inputs never give the same bytes.
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
    /// Writes `image + scale * noise` of one draw to `noisy`, computed in single precision and
    /// rounded once more if `V` is shorter.
    ///
    /// The three slices have one length. `scale` is sigma divided by the channel's standard
    /// deviation, by which the image was divided.
    pub fn add_noise<V: NoisyValue>(
        self,
        draw: u64,
        image: &[f32],
        scale: &[f32],
        noisy: &mut [V],
    ) {
        self.draw(draw, noisy.len(), |place, values| {
            let known = image[place..].iter().zip(&scale[place..]);
            for ((noisy, (pixel, scale)), value) in noisy[place..].iter_mut().zip(known).zip(values)
            {
                *noisy = V::round(pixel + scale * value);
            }
        });
    }

    /// Appends the noise alone of the first `draws` draws, `values` numbers per draw.
    pub fn append(self, draws: u64, values: usize, noise: &mut Vec<f32>) {
        for draw in 0..draws {
            self.draw(draw, values, |_, block| noise.extend_from_slice(block));
        }
    }

    /// Returns the seed of a device's generator.
    #[must_use]
    pub fn device_seed(self) -> i64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        i64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// Calls `each` with the standard normal values of one draw, block by block. The first argument
    /// is the place of the block's first value.
    fn draw(self, draw: u64, values: usize, mut each: impl FnMut(usize, &[f32])) {
        let mut bits = self.generator(draw);
        let mut block = [0.0; normal::BLOCK];
        for place in (0..values).step_by(normal::BLOCK) {
            normal::fill(&mut bits, &mut block);
            each(place, &block[..normal::BLOCK.min(values - place)]);
        }
    }

    fn generator(self, draw: u64) -> Xoshiro256PlusPlus {
        let mut seeds = ChaCha8Rng::from_seed(self.0);
        seeds.set_stream(draw);
        Xoshiro256PlusPlus::from_rng(&mut seeds)
    }
}

#[cfg(test)]
mod tests;
