//! What an input wants scored: rows, counted from 0, each the input under one draw of noise.

use std::ops::Range;

use ddrs_common::domain::{Phase, Sigma};

/// Rows that belong together, because one decision waits for all of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Request {
    /// Draws of a phase whose classes are counted.
    Count {
        /// The noise level.
        sigma: Sigma,
        /// What the draws are for.
        phase: Phase,
        /// The chunk of the first of them.
        first: u64,
        /// How many there are.
        n: u64,
        /// How many a chunk has.
        chunk: u64,
    },
    /// The same draws of the sigma phase at each of several noise levels.
    Compare {
        /// The noise levels.
        sigmas: Vec<Sigma>,
        /// How many draws there are of each.
        draws: u64,
    },
}

/// Rows of a request that share a noise level and a chunk of noise.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub(super) sigma: Sigma,
    pub(super) phase: Phase,
    pub(super) chunk: u64,
    /// Which draws of the chunk are wanted.
    pub(super) draws: Range<u64>,
    /// How many draws the request has of the chunk.
    pub(super) of: u64,
}

impl Request {
    /// How many rows there are.
    pub(super) fn rows(&self) -> u64 {
        match self {
            Self::Count { n, .. } => *n,
            Self::Compare { sigmas, draws } => sigmas.len() as u64 * draws,
        }
    }

    /// How many rows a block has, but for the last.
    fn length(&self) -> u64 {
        match self {
            Self::Count { chunk, .. } => *chunk,
            Self::Compare { draws, .. } => *draws,
        }
    }

    /// The blocks that some rows lie in, in order.
    pub(super) fn blocks(&self, rows: Range<u64>) -> impl Iterator<Item = Block> {
        let length = self.length();
        (rows.start / length..rows.end.div_ceil(length)).map(move |number| {
            let start = number * length;
            let draws = rows.start.max(start) - start..rows.end.min(start + length) - start;
            let of = length.min(self.rows() - start);
            match self {
                Self::Count {
                    sigma,
                    phase,
                    first,
                    ..
                } => Block {
                    sigma: *sigma,
                    phase: *phase,
                    chunk: first + number,
                    draws,
                    of,
                },
                Self::Compare { sigmas, .. } => Block {
                    sigma: sigmas[number as usize],
                    phase: Phase::Sigma,
                    chunk: 0,
                    draws,
                    of,
                },
            }
        })
    }

    /// The end of the last block that ends at `row` or before it.
    pub(super) fn last_block_end(&self, row: u64) -> u64 {
        if row == self.rows() {
            row
        } else {
            row / self.length() * self.length()
        }
    }

    /// Where the block ends that holds a row.
    pub(super) fn block_end(&self, row: u64) -> u64 {
        ((row / self.length() + 1) * self.length()).min(self.rows())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_of_a_count_run_through_its_chunks() {
        let sigma = Sigma::new(0.5).unwrap();
        let request = Request::Count {
            sigma,
            phase: Phase::Estimate,
            first: 7,
            n: 25,
            chunk: 10,
        };
        let block = |chunk, draws, of| Block {
            sigma,
            phase: Phase::Estimate,
            chunk,
            draws,
            of,
        };
        let blocks: Vec<Block> = request.blocks(5..25).collect();
        assert_eq!(
            blocks,
            [block(7, 5..10, 10), block(8, 0..10, 10), block(9, 0..5, 5)]
        );
        assert_eq!(
            (
                request.block_end(0),
                request.block_end(10),
                request.block_end(24)
            ),
            (10, 20, 25)
        );
    }

    #[test]
    fn all_noise_levels_are_compared_on_the_same_draws() {
        let sigmas: Vec<Sigma> = [0.25, 0.5].map(|sigma| Sigma::new(sigma).unwrap()).into();
        let request = Request::Compare {
            sigmas: sigmas.clone(),
            draws: 4,
        };
        let found: Vec<_> = request
            .blocks(0..8)
            .map(|block| (block.sigma, block.chunk, block.draws))
            .collect();
        assert_eq!(found, [(sigmas[0], 0, 0..4), (sigmas[1], 0, 0..4)]);
    }
}
