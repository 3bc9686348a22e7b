//! The inverse of the distribution of grid noise: a table over the leading bits of a uniform
//! number.
//!
//! The interval of uniform numbers is divided into 2^b cells. Where a cell holds at most one
//! threshold, its entry has the step K below that threshold, and the 16 bits of the threshold after
//! those of the cell: K takes 16 bits, and 16 + b bits of the number decide. Other cells, and the
//! one number in 65,536 whose bits equal the threshold's, need the exact search.

use ddrs_common::grid::Thresholds;

/// The step of numbers that need the exact search. No noise is that large.
pub(super) const UNDECIDED: i32 = i16::MIN as i32;

/// The fewest and the most bits of a cell's number.
const CELL_BITS: (u32, u32) = (8, 16);
/// Cells per step of the standard deviation, as a power of two: enough that less than one number in
/// a hundred needs the exact search.
const CELLS_PER_STEP_BITS: u32 = 4;

/// Thresholds and the table over them.
pub(super) struct Guide {
    entries: Vec<u32>,
    cell_bits: u32,
    thresholds: Thresholds,
}

impl Guide {
    pub(super) fn new(thresholds: Thresholds) -> Self {
        let steps = thresholds.reach();
        let cell_bits = (steps.ilog2() + CELLS_PER_STEP_BITS).clamp(CELL_BITS.0, CELL_BITS.1);
        Self {
            entries: entries(&thresholds, cell_bits),
            cell_bits,
            thresholds,
        }
    }

    pub(super) fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// Writes the step of each number of 32 bits, or [`UNDECIDED`].
    pub(super) fn look_up<const N: usize>(&self, words: &[u32; N], steps: &mut [i32; N]) {
        let mut found = [0; N];
        let cell_shift = 32 - self.cell_bits;
        for (entry, word) in found.iter_mut().zip(words) {
            *entry = self.entries[(word >> cell_shift) as usize];
        }
        // A separate loop becomes vector instructions.
        for ((step, entry), word) in steps.iter_mut().zip(&found).zip(words) {
            *step = decide(*entry, (word << self.cell_bits) >> 16);
        }
    }

    /// Returns the step of a number whose first 32 bits are `word`. `tie` returns the other 32; it
    /// is called only where they decide.
    pub(super) fn search(&self, word: u32, tie: impl FnOnce() -> u32) -> i32 {
        let least = u64::from(word) << 32;
        let below = self.count_up_to(least);
        let count = if below == self.count_up_to(least | u64::from(u32::MAX)) {
            below
        } else {
            self.count_up_to(least | u64::from(tie()))
        };
        count as i32 - self.thresholds.reach() as i32
    }

    /// Returns the number of thresholds that are at most `number`.
    fn count_up_to(&self, number: u64) -> usize {
        let thresholds = self.thresholds.ascending();
        thresholds.partition_point(|&threshold| threshold <= number)
    }
}

#[inline]
fn decide(entry: u32, bits: u32) -> i32 {
    let step = (entry as i32) >> 16;
    let threshold = (entry & 0xffff) as i32;
    let bits = bits as i32;
    let above = step + i32::from(bits > threshold);
    // Without a branch, so that the loop over values becomes vector instructions.
    if i32::from(bits == threshold) | i32::from(step == UNDECIDED) != 0 {
        UNDECIDED
    } else {
        above
    }
}

fn entries(thresholds: &Thresholds, cell_bits: u32) -> Vec<u32> {
    let ascending = thresholds.ascending();
    let cells = 0..1u64 << cell_bits;
    let mut below = 0;
    let mut entries = Vec::with_capacity(1 << cell_bits);
    for first in cells.map(|cell| cell << (64 - cell_bits)) {
        below += count_while(&ascending[below..], |next| next < first);
        let step = below as i32 - thresholds.reach() as i32;
        entries.push(entry(&ascending[below..], first, step, cell_bits));
    }
    entries
}

/// Returns the entry of the cell that begins at `first`. `next` are the thresholds from there on.
fn entry(next: &[u64], first: u64, step: i32, cell_bits: u32) -> u32 {
    let last = first | (u64::MAX >> cell_bits);
    let two = &next[..next.len().min(2)];
    match count_while(two, |next| next <= last) {
        0 => packed(step, 0xffff),
        1 => packed(step, next[0] >> (48 - cell_bits)),
        _ => packed(UNDECIDED, 0),
    }
}

fn count_while(thresholds: &[u64], holds: impl Fn(u64) -> bool) -> usize {
    thresholds.iter().take_while(|&&next| holds(next)).count()
}

/// An entry: the step in the upper half, 16 bits of the threshold in the lower.
fn packed(step: i32, threshold: u64) -> u32 {
    (step as u32) << 16 | (threshold & 0xffff) as u32
}
