//! Gaussian noise as a pure function of what it is for.
//!
//! A *chunk* of noise is known by (sweep seed, variant, sample, phase, chunk number); a [`ChunkKey`] is the SHA-256 of
//! the five. On the CPU each draw of a chunk is a ChaCha8 stream of its own under that key, so any range of draws can be
//! made by any thread, on any CPU with the same bits. On a GPU the device's own generator is seeded with the key, and
//! makes a whole chunk at once.
//!
//! Values lie in the order of memory: row, column, channel.
//!
//! - `chacha`: uniform words
//! - `normal`: normal values from words

// Vectors: a function that stays a function of its own is compiled for the least CPU.
#![expect(clippy::inline_always)]

mod chacha;
mod normal;

use std::sync::LazyLock;

use ddrs_common::domain::{Phase, SampleIndex, VariantName};
use fearless_simd::{Level, Simd, dispatch};
use sha2::{Digest, Sha256};

use chacha::{Stream, WORDS};
use normal::{GROUP, normals};

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
    /// `pixels + sigma * noise` for each of `rows`, a draw and a sigma each, one after the other, in single precision.
    #[must_use]
    pub fn noisy(self, rows: impl ExactSizeIterator<Item = (u64, f64)>, pixels: &[f32]) -> Vec<f32> {
        let mut batch = Vec::with_capacity(rows.len() * pixels.len());
        for (draw, sigma) in rows {
            let start = batch.len();
            batch.extend_from_slice(pixels);
            self.add(draw, sigma as f32, &mut batch[start..]);
        }
        batch
    }

    /// Appends the noise alone of the first `draws` draws, `values` each.
    pub fn append(self, draws: u64, values: usize, noise: &mut Vec<f32>) {
        for draw in 0..draws {
            let start = noise.len();
            noise.resize(start + values, 0.0);
            self.add(draw, 1.0, &mut noise[start..]);
        }
    }

    /// Adds `sigma` times the noise of one draw to an image, compiled for this CPU's vectors.
    fn add(self, draw: u64, sigma: f32, image: &mut [f32]) {
        static LEVEL: LazyLock<Level> = LazyLock::new(Level::new);
        dispatch!(*LEVEL, simd => add_noise_with(simd, image, sigma, &self.0, draw));
    }

    /// The seed of a device's generator.
    #[must_use]
    pub fn device_seed(self) -> i64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        i64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// [`add_noise`] in a function that is compiled for a kind of vectors.
#[inline(always)]
fn add_noise_with<S: Simd>(_: S, image: &mut [f32], sigma: f32, key: &[u8; 32], draw: u64) {
    add_noise(image, sigma, key, draw);
}

/// Adds `sigma` times the noise of one draw to an image. A group of values is made and added while it is in the cache.
#[inline(always)]
fn add_noise(image: &mut [f32], sigma: f32, key: &[u8; 32], draw: u64) {
    let (mut stream, mut words, mut values) = (Stream::new(key, draw), [0; WORDS], [0.0; GROUP]);
    for group in image.chunks_mut(GROUP) {
        stream.next(&mut words);
        normals(&words, &mut values);
        for (pixel, value) in group.iter_mut().zip(&values) {
            *pixel += sigma * value;
        }
    }
}

#[cfg(test)]
mod tests;
