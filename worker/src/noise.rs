//! Gaussian noise as a pure function of what it is for.
//!
//! A *chunk* of noise is known by (sweep seed, variant, sample, phase, chunk number); a
//! [`ChunkKey`] is the SHA-256 of the five. On the CPU each draw of a chunk has a xoshiro256++
//! generator of its own, so any range of draws can be made by any thread; its 256 bits of state are
//! the beginning of the draw's ChaCha8 stream under the key, so that generators are as unrelated as
//! a cipher can make them. On a GPU the device's own generator is seeded with the key, and makes a
//! whole chunk at once.
//!
//! Values lie in the order of memory: row, column, channel.

mod normal;

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

/// A number as networks take it, in the order of bytes of this machine.
pub trait Value: Copy + Default {
    /// Rounds to the nearest, ties to even.
    fn round(value: f32) -> Self;
}

impl Value for f32 {
    fn round(value: f32) -> Self {
        value
    }
}

/// bfloat16.
impl Value for [u8; 2] {
    fn round(value: f32) -> Self {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
        // Rounding could carry what is not a number over into one.
        let kept = if value.is_nan() { 0x7fc0_0000 } else { rounded };
        ((kept >> 16) as u16).to_ne_bytes()
    }
}

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
    /// Standard normal values of one draw, handed to `each` block by block with the place of the
    /// first.
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

    /// `image + scale * noise` for one draw, in single precision, rounded once more where `V` is
    /// shorter. The three are of one length; `scale` has sigma in it, and what the image was
    /// divided by.
    pub fn noisy<V: Value>(self, draw: u64, image: &[f32], scale: &[f32], noisy: &mut [V]) {
        self.draw(draw, noisy.len(), |place, values| {
            let known = image[place..].iter().zip(&scale[place..]);
            for ((noisy, (pixel, scale)), value) in noisy[place..].iter_mut().zip(known).zip(values)
            {
                *noisy = V::round(pixel + scale * value);
            }
        });
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
