//! One forward pass: noise, scores, and what they say.

use std::sync::PoisonError;

use tch::{Kind, TchError, Tensor};

use super::Side;
use super::board::{Pass, Piece};
use super::certify::Task;
use super::progress::Scores;
use super::request::Block;
use super::tally::classify;
use crate::noise::{ChunkKey, Value};

/// Pixels of the images that one forward pass on the CPU takes: their activations should stay in
/// the caches.
const CPU_PIXELS: u64 = 50 * 32 * 32;
/// The fewest images of a forward pass on the CPU: the weights of a layer are read once for all of
/// them.
const CPU_LEAST: u64 = 16;

/// Why a row with such scores decides nothing.
pub(super) const NOT_FINITE: &str = "the model's scores are not all finite";

/// Scores on their way back from the device.
pub(super) enum Answers {
    /// (rows, classes) in single precision.
    Scores { values: Vec<f32>, classes: usize },
    /// Nothing: the device counted the classes.
    Counted,
    /// The program makes something else of this batch than of the one it was tried with: why no row
    /// was scored.
    Misshapen(String),
}

impl Task<'_> {
    /// How many images every forward pass takes, whether there are so many or not: arithmetic may
    /// depend on the number, so it is a function of the specification and the image's size alone. A
    /// chunk on a GPU.
    pub(super) fn rows(&self) -> u64 {
        let [_, height, width] = self.network.shape();
        rows(
            self.engine.side,
            self.sweep.certify.chunk.get(),
            height * width,
        )
    }

    /// Scores of shape (rows, classes), perhaps not yet computed. On a GPU the classes of the rows
    /// are counted with them.
    pub(super) fn launch(&self, pass: &Pass, rows: u64) -> Result<Tensor, TchError> {
        let mut lap = self.engine.times.lap(self.engine.device, self.engine.side);
        let batch = self.batch(pass, rows as usize)?;
        lap.drawn();
        let scores = self.network.scores(&batch)?;
        lap.scored();
        if self.misshapen(rows, &scores).is_none() {
            tally(pass, &scores)?;
        }
        lap.end();
        // A program may return part of its input, whose memory the next pass uses before these
        // scores are read.
        if self.engine.side == Side::Device {
            scores.f_detach_copy()
        } else {
            Ok(scores)
        }
    }

    /// Reads the scores of a pass, and waits for them. Where all classes are counted by the device
    /// it does neither.
    pub(super) fn read(
        &self,
        pass: &Pass,
        rows: u64,
        scores: &Tensor,
    ) -> Result<Answers, TchError> {
        if let Some(reason) = self.misshapen(rows, scores) {
            return Ok(Answers::Misshapen(reason));
        }
        if pass.pieces.iter().all(|piece| piece.tally.is_some()) {
            return Ok(Answers::Counted);
        }
        let values = Vec::try_from(
            scores
                .f_to_kind(Kind::Float)?
                .f_contiguous()?
                .f_view([-1])?,
        )?;
        Ok(Answers::Scores {
            values,
            classes: self.network.classes() as usize,
        })
    }

    fn misshapen(&self, rows: u64, scores: &Tensor) -> Option<String> {
        let expected = [rows as i64, i64::from(self.network.classes())];
        let wrong = scores.size() != expected;
        wrong.then(|| {
            format!(
                "the model's scores have shape {:?}, expected {expected:?}",
                scores.size()
            )
        })
    }

    /// The images of a pass under their noise, of shape (rows, channels, height, width), normalised
    /// and of the network's kind. Rows that hold nothing are black.
    pub(super) fn batch(&self, pass: &Pass, rows: usize) -> Result<Tensor, TchError> {
        if self.engine.side == Side::Device {
            return self.device_batch(pass, rows);
        }
        let shape = self.memory_shape(rows);
        let batch = if self.network.kind() == Kind::BFloat16 {
            let values: Vec<[u8; 2]> = self.noisy(pass, rows);
            Tensor::f_from_data_size(values.as_flattened(), &shape, Kind::BFloat16)?
        } else {
            let values: Vec<f32> = self.noisy(pass, rows);
            Tensor::f_from_slice(&values)?
                .f_view(shape)?
                .f_to_kind(self.network.kind())?
        };
        batch.f_permute([0, 3, 1, 2])
    }

    fn noisy<V: Value>(&self, pass: &Pass, rows: usize) -> Vec<V> {
        let size = self.network.shape().iter().product();
        let mut batch = vec![V::default(); rows * size];
        let mut images = batch.chunks_exact_mut(size);
        for (piece, block) in blocks(pass) {
            let key = self.block_key(piece, &block);
            let scale: Vec<f32> = self.scale(&block).cycle().take(size).collect();
            for (draw, image) in block.draws.zip(&mut images) {
                key.noisy(draw, &piece.input.normalised, &scale, image);
            }
        }
        batch
    }

    /// A GPU makes the noise of a block at once, in memory that every pass uses again.
    fn device_batch(&self, pass: &Pass, rows: usize) -> Result<Tensor, TchError> {
        let (device, kind) = (self.engine.device, self.network.kind());
        // A lane that panicked is gone with the process; what it left in the buffers is
        // overwritten.
        let mut stage = self
            .engine
            .stage
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let batch = stage.batch(self.memory_shape(rows), kind, device)?;
        let mut row = 0;
        for (piece, block) in blocks(pass) {
            let noise = stage.noise(
                self.block_key(piece, &block),
                self.memory_shape(block.of as usize),
                device,
            )?;
            let scale = stage.scale(&self.scale(&block).collect::<Vec<f32>>(), device)?;
            let image = piece.input.on(device, self.memory_shape(1))?;
            let (first, count) = (
                block.draws.start as i64,
                (block.draws.end - block.draws.start) as i64,
            );
            let to = batch.f_narrow(0, row, count)?;
            let _ = image.f_addcmul_out(&to, &noise.f_narrow(0, first, count)?, &scale)?;
            row += count;
        }
        let empty = rows as i64 - row;
        if empty > 0 {
            let _ = batch.f_narrow(0, row, empty)?.f_zero_()?;
        }
        batch.f_permute([0, 3, 1, 2])
    }

    fn block_key(&self, piece: &Piece, block: &Block) -> ChunkKey {
        self.key(piece.input.index, block.phase, block.chunk)
    }

    /// What each channel's noise is multiplied by.
    fn scale(&self, block: &Block) -> impl Iterator<Item = f32> + Clone {
        let sigma = block.sigma.get();
        self.network
            .normalisation()
            .iter()
            .map(move |(_, std)| (sigma / std) as f32)
    }
}

/// Counts the classes of the rows that have a tally.
fn tally(pass: &Pass, scores: &Tensor) -> Result<(), TchError> {
    if pass.pieces.iter().all(|piece| piece.tally.is_none()) {
        return Ok(());
    }
    let found = classify(scores)?;
    let ones = found.f_ones_like()?;
    let mut row = 0;
    for piece in &pass.pieces {
        let count = piece.len() as i64;
        if let Some(tally) = &piece.tally {
            tally.add(
                &found.f_narrow(0, row, count)?,
                &ones.f_narrow(0, row, count)?,
            )?;
        }
        row += count;
    }
    Ok(())
}

/// Images of a forward pass, from the size of a chunk and the pixels of an image.
pub(super) fn rows(side: Side, chunk: u64, pixels: usize) -> u64 {
    if side == Side::Device {
        chunk
    } else {
        (CPU_PIXELS / pixels as u64).clamp(CPU_LEAST, chunk.max(CPU_LEAST))
    }
}

/// The blocks of a pass in the order of its rows.
fn blocks(pass: &Pass) -> impl Iterator<Item = (&Piece, Block)> {
    pass.pieces.iter().flat_map(|piece| {
        piece
            .request
            .blocks(piece.rows.clone())
            .map(move |block| (piece, block))
    })
}

impl Answers {
    /// What a row was scored.
    pub(super) fn row(&self, row: usize) -> Scores<'_> {
        match self {
            Self::Misshapen(reason) => Scores::Useless(reason),
            Self::Counted => Scores::Counted,
            Self::Scores { values, classes } => {
                let scores = &values[row * classes..(row + 1) * classes];
                if scores.iter().all(|score| score.is_finite()) {
                    Scores::All(scores)
                } else {
                    Scores::Useless(NOT_FINITE)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_that_are_not_finite_decide_nothing() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let answers = Answers::Scores {
                values: vec![0.0, 1.0, bad, 0.0],
                classes: 2,
            };
            assert_eq!(
                (answers.row(0), answers.row(1)),
                (Scores::All(&[0.0, 1.0]), Scores::Useless(NOT_FINITE))
            );
        }
    }
}
