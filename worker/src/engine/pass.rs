//! One forward pass: noise, scores, and what they say.

use tch::{Device, Kind, TchError, Tensor};

use super::board::{Pass, Piece};
use super::certify::Task;
use super::progress::Scores;
use super::request::{Block, Request};
use crate::noise::{ChunkKey, Value};

/// Pixels of the images that one forward pass on the CPU takes: their activations should stay in the caches.
const CPU_PIXELS: u64 = 50 * 32 * 32;
/// The fewest images of a forward pass on the CPU: the weights of a layer are read once for all of them.
const CPU_LEAST: u64 = 16;

const NOT_FINITE: &str = "the model's scores are not all finite";

/// Scores on their way back from the device.
pub(super) enum Answers {
    /// (rows, classes) in single precision.
    Scores { values: Vec<f32>, classes: usize },
    /// The best class of each row, negative where a score is not finite.
    Classes(Vec<i64>),
    /// The program makes something else of this batch than of the one it was tried with: why no row was scored.
    Misshapen(String),
}

impl Task<'_> {
    /// How many images every forward pass takes, whether there are so many or not: arithmetic may depend on the number, so
    /// it is a function of the specification and the image's size alone. A chunk on a GPU.
    pub(super) fn rows(&self) -> u64 {
        let [_, height, width] = self.network.shape();
        rows(self.engine.device, self.sweep.certify.chunk.get(), height * width)
    }

    /// Scores of shape (rows, classes), perhaps not yet computed.
    pub(super) fn launch(&self, pass: &Pass, rows: u64) -> Result<Tensor, TchError> {
        let times = &self.engine.times;
        let batch = times.noise.time(|| self.batch(pass, rows as usize))?;
        times.forward.time(|| self.network.scores(&batch))
    }

    /// Waits for the scores of a pass and reads them. Where classes are all that is wanted, a GPU finds them itself.
    pub(super) fn read(&self, pass: &Pass, rows: u64, scores: &Tensor) -> Result<Answers, TchError> {
        let expected = [rows as i64, i64::from(self.network.classes())];
        if scores.size() != expected {
            let reason = format!("the model's scores have shape {:?}, expected {expected:?}", scores.size());
            return Ok(Answers::Misshapen(reason));
        }
        let counts = pass.pieces.iter().all(|piece| matches!(*piece.request, Request::Count { .. }));
        if self.engine.device.is_cuda() && counts {
            let finite = scores.f_isfinite()?.f_all_dim(1, false)?;
            let classes = scores.f_argmax(1, false)?;
            return Ok(Answers::Classes(Vec::try_from(classes.f_where_self(&finite, &classes.f_full_like(-1)?)?)?));
        }
        let values = Vec::try_from(scores.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([-1])?)?;
        Ok(Answers::Scores { values, classes: self.network.classes() as usize })
    }

    /// The images of a pass under their noise, of shape (rows, channels, height, width), normalised and of the network's
    /// kind. Rows that hold nothing are black.
    fn batch(&self, pass: &Pass, rows: usize) -> Result<Tensor, TchError> {
        if self.engine.device.is_cuda() {
            return self.device_batch(pass, rows);
        }
        let shape = self.memory_shape(rows);
        let batch = if self.network.kind() == Kind::BFloat16 {
            let values: Vec<[u8; 2]> = self.noisy(pass, rows);
            Tensor::f_from_data_size(values.as_flattened(), &shape, Kind::BFloat16)?
        } else {
            let values: Vec<f32> = self.noisy(pass, rows);
            Tensor::f_from_slice(&values)?.f_view(shape)?.f_to_kind(self.network.kind())?
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

    /// A GPU makes the noise of a block at once.
    fn device_batch(&self, pass: &Pass, rows: usize) -> Result<Tensor, TchError> {
        let mut parts = Vec::new();
        for (piece, block) in blocks(pass) {
            tch::manual_seed(self.block_key(piece, &block).device_seed());
            let noise = Tensor::f_randn(self.memory_shape(block.of as usize), (Kind::Float, self.engine.device))?;
            let (first, count) = (block.draws.start as i64, (block.draws.end - block.draws.start) as i64);
            let scale: Vec<f32> = self.scale(&block).collect();
            let scale = Tensor::f_from_slice(&scale)?.f_to(self.engine.device)?;
            let image = piece.input.on(self.engine.device, self.memory_shape(1))?;
            let noise = noise.f_narrow(0, first, count)?.f_mul(&scale)?;
            parts.push(noise.f_add(&image)?.f_to_kind(self.network.kind())?);
        }
        let empty = rows - pass.rows() as usize;
        if empty > 0 {
            parts.push(Tensor::f_zeros(self.memory_shape(empty), (self.network.kind(), self.engine.device))?);
        }
        let batch = if parts.len() == 1 { parts.remove(0) } else { Tensor::f_cat(&parts, 0)? };
        batch.f_permute([0, 3, 1, 2])
    }

    fn block_key(&self, piece: &Piece, block: &Block) -> ChunkKey {
        self.key(piece.input.index, block.phase, block.chunk)
    }

    /// What each channel's noise is multiplied by.
    fn scale(&self, block: &Block) -> impl Iterator<Item = f32> + Clone {
        let sigma = block.sigma.get();
        self.network.normalisation().iter().map(move |(_, std)| (sigma / std) as f32)
    }
}

/// Images of a forward pass, from the size of a chunk and the pixels of an image.
pub(super) fn rows(device: Device, chunk: u64, pixels: usize) -> u64 {
    if device.is_cuda() { chunk } else { (CPU_PIXELS / pixels as u64).clamp(CPU_LEAST, chunk.max(CPU_LEAST)) }
}

/// The blocks of a pass in the order of its rows.
fn blocks(pass: &Pass) -> impl Iterator<Item = (&Piece, Block)> {
    pass.pieces.iter().flat_map(|piece| piece.request.blocks(piece.rows.clone()).map(move |block| (piece, block)))
}

impl Answers {
    /// What a row was scored.
    pub(super) fn row(&self, row: usize) -> Scores<'_> {
        match self {
            Self::Misshapen(reason) => Scores::Useless(reason),
            Self::Classes(classes) => u32::try_from(classes[row]).map_or(Scores::Useless(NOT_FINITE), Scores::Class),
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
            let answers = Answers::Scores { values: vec![0.0, 1.0, bad, 0.0], classes: 2 };
            assert_eq!((answers.row(0), answers.row(1)), (Scores::All(&[0.0, 1.0]), Scores::Useless(NOT_FINITE)));
        }
        assert_eq!(Answers::Classes(vec![3, -1]).row(1), Scores::Useless(NOT_FINITE));
    }
}
