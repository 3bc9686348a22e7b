//! ChaCha with 8 rounds (Bernstein 2008), sixteen blocks at a time.
//!
//! Plain arithmetic on arrays, which the compiler turns into whatever vectors the caller's target has: the words are
//! the same on every CPU.

/// Blocks that are made together, and words in a block.
const BLOCKS: usize = 16;
/// Words of sixteen blocks.
pub(super) const WORDS: usize = 16 * BLOCKS;

/// The stream of words of one key and stream number, sixteen blocks at a time.
pub(super) struct Stream([u32; 16]);

impl Stream {
    pub(super) fn new(key: &[u8; 32], stream: u64) -> Self {
        let mut state = [0; 16];
        state[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
        for (word, bytes) in state[4..12].iter_mut().zip(key.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        (state[14], state[15]) = (stream as u32, (stream >> 32) as u32);
        Self(state)
    }

    /// The next sixteen blocks: word `w` of block `b` at `16 w + b`. The counter of blocks has 32 bits, which are
    /// words for images of 10^10 values.
    #[inline(always)]
    pub(super) fn next(&mut self, words: &mut [u32; WORDS]) {
        for block in 0..BLOCKS {
            let mut start = self.0;
            start[12] = start[12].wrapping_add(block as u32);
            let mut x = start;
            // Not a loop: only straight-line code is turned into vectors over the blocks.
            double_round(&mut x);
            double_round(&mut x);
            double_round(&mut x);
            double_round(&mut x);
            for word in 0..16 {
                words[word * BLOCKS + block] = x[word].wrapping_add(start[word]);
            }
        }
        self.0[12] = self.0[12].wrapping_add(BLOCKS as u32);
    }
}

#[inline(always)]
fn double_round(x: &mut [u32; 16]) {
    quarter_round(x, [0, 4, 8, 12]);
    quarter_round(x, [1, 5, 9, 13]);
    quarter_round(x, [2, 6, 10, 14]);
    quarter_round(x, [3, 7, 11, 15]);
    quarter_round(x, [0, 5, 10, 15]);
    quarter_round(x, [1, 6, 11, 12]);
    quarter_round(x, [2, 7, 8, 13]);
    quarter_round(x, [3, 4, 9, 14]);
}

#[inline(always)]
fn quarter_round(x: &mut [u32; 16], [a, b, c, d]: [usize; 4]) {
    x[a] = x[a].wrapping_add(x[b]);
    x[d] = (x[d] ^ x[a]).rotate_left(16);
    x[c] = x[c].wrapping_add(x[d]);
    x[b] = (x[b] ^ x[c]).rotate_left(12);
    x[a] = x[a].wrapping_add(x[b]);
    x[d] = (x[d] ^ x[a]).rotate_left(8);
    x[c] = x[c].wrapping_add(x[d]);
    x[b] = (x[b] ^ x[c]).rotate_left(7);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_words_are_those_of_chacha8() {
        let key = std::array::from_fn(|place| (place * 7 + 1) as u8);
        for stream in [0, 1, u64::from(u32::MAX) + 5] {
            let mut reference = ChaCha8Rng::from_seed(key);
            reference.set_stream(stream);
            let (mut ours, mut words) = (Stream::new(&key, stream), [0; WORDS]);
            for _ in 0..3 {
                ours.next(&mut words);
                for block in 0..BLOCKS {
                    for word in 0..16 {
                        assert_eq!(words[16 * word + block], reference.next_u32(), "stream {stream}, block {block}");
                    }
                }
            }
        }
    }
}
