//! The draws that a decision about one input waits for.
//!
//! A request consists of rows, counted from 0. A row is the input under one draw of noise.

use std::ops::Range;

use ddrs_common::domain::{Phase, Sigma};

/// Draws that belong together, because one decision waits for all of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum DrawRequest {
    /// Draws of one phase whose classes are counted.
    Count {
        /// The place of the network among the variant's.
        network: usize,
        sigma: Sigma,
        phase: Phase,
        /// The chunk of the first draw.
        first: u64,
        /// The number of draws.
        n: u64,
        /// The number of draws per chunk.
        chunk: u64,
    },
    /// The same draws of the sigma phase at each of several sigmas.
    Compare {
        sigmas: Vec<Sigma>,
        /// The number of draws per sigma.
        draws: u64,
    },
}

/// Rows of a request that share a sigma and a chunk of noise.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DrawBlock {
    pub(super) sigma: Sigma,
    pub(super) phase: Phase,
    pub(super) chunk: u64,
    /// The wanted draws of the chunk.
    pub(super) draws: Range<u64>,
    /// The number of the chunk's first draw in its phase.
    pub(super) first: u64,
    /// The number of draws that the whole request has of the chunk.
    pub(super) of: u64,
}

impl DrawBlock {
    /// Returns the number of wanted draws.
    pub(super) fn len(&self) -> u64 {
        self.draws.end - self.draws.start
    }

    /// Returns the numbers of the wanted draws in their phase. A specification allows fewer than
    /// 2^32 draws.
    pub(super) fn numbers(&self) -> Range<u32> {
        (self.first + self.draws.start) as u32..(self.first + self.draws.end) as u32
    }
}

impl DrawRequest {
    /// Returns the place of the network among the variant's.
    pub(super) fn network(&self) -> usize {
        match self {
            Self::Count { network, .. } => *network,
            Self::Compare { .. } => 0,
        }
    }

    /// Returns the number of rows.
    pub(super) fn rows(&self) -> u64 {
        match self {
            Self::Count { n, .. } => *n,
            Self::Compare { sigmas, draws } => sigmas.len() as u64 * draws,
        }
    }

    /// Returns the blocks that `rows` lie in, in order.
    pub(super) fn blocks(&self, rows: Range<u64>) -> impl Iterator<Item = DrawBlock> {
        let length = self.block_length();
        let numbers = rows.start / length..rows.end.div_ceil(length);
        numbers.map(move |number| self.block(number, &rows))
    }

    /// Returns the end of the last block that ends at `row` or before it.
    pub(super) fn last_block_end(&self, row: u64) -> u64 {
        if row == self.rows() {
            row
        } else {
            row / self.block_length() * self.block_length()
        }
    }

    /// Returns the end of the block that holds `row`.
    pub(super) fn block_end(&self, row: u64) -> u64 {
        let end = (row / self.block_length() + 1) * self.block_length();
        end.min(self.rows())
    }

    /// Returns the number of rows per block. The last block may have fewer.
    fn block_length(&self) -> u64 {
        match self {
            Self::Count { chunk, .. } => *chunk,
            Self::Compare { draws, .. } => *draws,
        }
    }

    /// Returns the part of a block that `rows` want.
    fn block(&self, number: u64, rows: &Range<u64>) -> DrawBlock {
        let length = self.block_length();
        let start = number * length;
        let (sigma, phase, chunk) = self.noise_of_block(number);
        DrawBlock {
            sigma,
            phase,
            chunk,
            first: chunk * length,
            draws: rows.start.max(start) - start..rows.end.min(start + length) - start,
            of: length.min(self.rows() - start),
        }
    }

    fn noise_of_block(&self, number: u64) -> (Sigma, Phase, u64) {
        match self {
            Self::Count {
                sigma,
                phase,
                first,
                ..
            } => (*sigma, *phase, first + number),
            Self::Compare { sigmas, .. } => (sigmas[number as usize], Phase::Sigma, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_of_a_count_run_through_its_chunks() {
        let sigma = Sigma::new(0.5).unwrap();
        let request = DrawRequest::Count {
            network: 0,
            sigma,
            phase: Phase::Estimate,
            first: 7,
            n: 25,
            chunk: 10,
        };
        let block = |chunk, draws, of| DrawBlock {
            sigma,
            phase: Phase::Estimate,
            chunk,
            first: 10 * chunk,
            draws,
            of,
        };
        let blocks: Vec<DrawBlock> = request.blocks(5..25).collect();
        assert_eq!(
            blocks,
            [block(7, 5..10, 10), block(8, 0..10, 10), block(9, 0..5, 5)]
        );
        let numbers: Vec<_> = blocks.iter().map(DrawBlock::numbers).collect();
        assert_eq!(numbers, [75..80, 80..90, 90..95]);
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
        let request = DrawRequest::Compare {
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
