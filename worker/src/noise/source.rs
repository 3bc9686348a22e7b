//! The keys of grid noise: where the uniform numbers of a draw come from.

use ddrs_common::domain::{Phase, SampleIndex, Sigma, VariantName};
use sha2::{Digest, Sha256};

use super::philox::{self, LANES};

/// Everything that the noise of one sample depends on. All that makes up the networks is part of
/// it, so no network can be built that knows its noise.
#[derive(Debug, Clone, Copy)]
pub struct GridNoiseSource<'a> {
    /// The sweep's seed.
    pub seed: u64,
    /// The variant's networks: digests of their files, and the settings that change their scores.
    pub networks: &'a [&'a str],
    /// The sigmas of the levels, if the variant selects one, or that which a file gives the sample.
    pub levels: &'a [Sigma],
    /// The digest of the data.
    pub data: &'a [u8; 32],
    /// The variant.
    pub variant: &'a VariantName,
    /// The sample's index in the dataset.
    pub index: SampleIndex,
}

/// The source of the uniform numbers of one phase of one sample.
///
/// They are those of Philox4x32-10 under a key of 64 bits. The counter's four words are the number
/// of the block, the number of the draw in its phase, and 64 bits that belong to the phase. Blocks
/// from 2^31 on have the bits that decide ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseKey {
    pub(super) key: [u32; 2],
    pub(super) phase: [u32; 2],
}

/// The values of one group: the words of [`LANES`] blocks. Value i of a draw is in group i / 256,
/// and there has word i / 64 mod 4 of block i mod 64.
pub(super) const GROUP: usize = 4 * LANES;
/// Added to the number of a block for the bits that decide ties.
pub(super) const TIES: u32 = 1 << 31;

impl GridNoiseSource<'_> {
    /// Returns the key of a phase.
    #[must_use]
    pub fn phase(&self, phase: Phase) -> PhaseKey {
        let mut hash = Sha256::new();
        // Lengths come first, so that two different inputs never give the same bytes.
        for length in [self.networks.len(), self.levels.len()] {
            hash.update((length as u64).to_le_bytes());
        }
        for sigma in self.levels {
            hash.update(sigma.get().to_le_bytes());
        }
        let texts = ["ddrs noise 3", self.variant.as_str(), phase.as_str()];
        for text in texts.iter().chain(self.networks) {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        hash.update(self.data);
        for number in [self.seed, self.index.0] {
            hash.update(number.to_le_bytes());
        }
        PhaseKey::new(hash.finalize().into())
    }
}

impl PhaseKey {
    fn new(digest: [u8; 32]) -> Self {
        let (words, _) = digest.as_chunks();
        let word = |number: usize| u32::from_le_bytes(words[number]);
        Self {
            key: [word(0), word(1)],
            phase: [word(2), word(3)],
        }
    }

    /// Writes the first 32 bits of the numbers of a group.
    pub(super) fn fill(self, draw: u32, group: u32, words: &mut [[u32; LANES]; 4]) {
        philox::fill(self.key, self.counter(draw, group * LANES as u32), words);
    }

    /// Returns the next 32 bits of the number at `place` in a group.
    pub(super) fn tie(self, draw: u32, group: u32, place: usize) -> u32 {
        let block = group * LANES as u32 + (place % LANES) as u32;
        philox::words(self.key, self.counter(draw, block + TIES))[place / LANES]
    }

    fn counter(self, draw: u32, block: u32) -> [u32; 4] {
        let [third, fourth] = self.phase;
        [block, draw, third, fourth]
    }
}
