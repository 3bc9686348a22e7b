//! The counter-based generator Philox4x32-10 of J. Salmon, M. Moraes, R. Dror and D. Shaw,
//! "Parallel random numbers: as easy as 1, 2, 3" (2011).
//!
//! The loop over counters has no branch, so compilers turn it into vector instructions.
#![expect(
    clippy::inline_always,
    reason = "a call would keep the loop from becoming vector instructions"
)]

/// The number of counters that [`fill`] takes at once.
pub(super) const LANES: usize = 64;
/// The factors of the first and the third word.
pub(super) const FACTORS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];

const ROUNDS: usize = 10;
/// The numbers by which the two words of the key grow from round to round.
const KEY_STEPS: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];

/// Returns the keys of all rounds.
pub(super) fn round_keys(key: [u32; 2]) -> [[u32; 2]; ROUNDS] {
    let mut next = key;
    [(); ROUNDS].map(|()| {
        let current = next;
        next = [0, 1].map(|word| next[word].wrapping_add(KEY_STEPS[word]));
        current
    })
}

/// Returns the four words of one counter.
pub(super) fn words(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    round_keys(key).into_iter().fold(counter, round)
}

/// Writes the words of [`LANES`] counters: `counter`, and those whose first word is larger by 1, 2
/// and so on. `filled[word][lane]` is a word of a lane's counter.
pub(super) fn fill(key: [u32; 2], counter: [u32; 4], filled: &mut [[u32; LANES]; 4]) {
    let keys = round_keys(key);
    let [first, second, third, fourth] = counter;
    let [a, b, c, d] = filled;
    let mut lane = first;
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        let mut state = [lane, second, third, fourth];
        for key in keys {
            state = round(state, key);
        }
        [*a, *b, *c, *d] = state;
        lane = lane.wrapping_add(1);
    }
}

#[inline(always)]
fn round([a, b, c, d]: [u32; 4], [key_a, key_c]: [u32; 2]) -> [u32; 4] {
    let x = u64::from(a) * u64::from(FACTORS[0]);
    let y = u64::from(c) * u64::from(FACTORS[1]);
    [
        (y >> 32) as u32 ^ b ^ key_a,
        y as u32,
        (x >> 32) as u32 ^ d ^ key_c,
        x as u32,
    ]
}
