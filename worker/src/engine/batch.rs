//! Makes the batch of a forward pass: images under their noise.

use tch::{Kind, TchError, Tensor};

use super::batch_buffers::BatchBuffers;
use super::batch_mode::BatchMode;
use super::pass::{Pass, PassPart};
use super::request::DrawBlock;
use super::task::JobContext;
use crate::noise::{ChunkKey, NoisyValue};

/// Makes the images of a pass under their noise, of shape (rows, channels, height, width). They are
/// normalised and in the network's number format. Empty rows are 0.
pub(super) fn make_batch(task: &JobContext, pass: &Pass, rows: usize) -> Result<Tensor, TchError> {
    let batch = match task.core.mode {
        BatchMode::Host => host_batch(task, pass, rows)?,
        BatchMode::Device => device_batch(task, pass, rows)?,
    };
    batch.f_permute([0, 3, 1, 2])
}

fn host_batch(task: &JobContext, pass: &Pass, rows: usize) -> Result<Tensor, TchError> {
    let shape = task.memory_shape(rows);
    match task.network.kind() {
        Kind::BFloat16 => bf16_tensor(&noisy_values(task, pass, rows), shape),
        kind => Tensor::f_from_slice::<f32>(&noisy_values(task, pass, rows))?
            .f_view(shape)?
            .f_to_kind(kind),
    }
}

fn bf16_tensor(values: &[[u8; 2]], shape: [i64; 4]) -> Result<Tensor, TchError> {
    Tensor::f_from_data_size(values.as_flattened(), &shape, Kind::BFloat16)
}

fn noisy_values<V: NoisyValue>(task: &JobContext, pass: &Pass, rows: usize) -> Vec<V> {
    let size = task.network.shape().iter().product();
    let mut batch = vec![V::default(); rows * size];
    let mut images = batch.chunks_exact_mut(size);
    for (part, block) in pass.blocks() {
        let key = block_key(task, part, &block);
        let scale = repeated(&channel_scale(task, &block), size);
        for (draw, image) in block.draws.zip(&mut images) {
            key.add_noise(draw, &part.input.normalised, &scale, image);
        }
    }
    batch
}

/// Repeats the values of the channels for each pixel of an image of `size` values.
fn repeated(channels: &[f32], size: usize) -> Vec<f32> {
    channels.iter().copied().cycle().take(size).collect()
}

/// Makes a batch on the device, which draws the noise of a block at once. The memory is used again
/// by every pass.
fn device_batch(task: &JobContext, pass: &Pass, rows: usize) -> Result<Tensor, TchError> {
    let mut buffers = task.core.buffers();
    let shape = task.memory_shape(rows);
    let batch = buffers.batch(shape, task.network.kind(), task.core.device)?;
    let mut row = 0;
    for (part, block) in pass.blocks() {
        let count = block.len() as i64;
        let rows = batch.f_narrow(0, row, count)?;
        write_block(task, &mut buffers, part, &block, &rows)?;
        row += count;
    }
    clear_rows(&batch, row)?;
    Ok(batch)
}

/// Sets the rows from `first` on to 0.
fn clear_rows(batch: &Tensor, first: i64) -> Result<(), TchError> {
    let empty = batch.size()[0] - first;
    if empty > 0 {
        let _ = batch.f_narrow(0, first, empty)?.f_zero_()?;
    }
    Ok(())
}

/// Writes image + scale · noise into `rows`, for each draw of a block.
fn write_block(
    task: &JobContext,
    buffers: &mut BatchBuffers,
    part: &PassPart,
    block: &DrawBlock,
    rows: &Tensor,
) -> Result<(), TchError> {
    let device = task.core.device;
    let key = block_key(task, part, block);
    let noise = buffers.noise(key, task.memory_shape(block.of as usize), device)?;
    let scale = buffers.scale(&channel_scale(task, block), device)?;
    let image = part.input.on(device, task.memory_shape(1))?;
    let noise = noise.f_narrow(0, block.draws.start as i64, rows.size()[0])?;
    let _ = image.f_addcmul_out(rows, &noise, &scale)?;
    Ok(())
}

fn block_key(task: &JobContext, part: &PassPart, block: &DrawBlock) -> ChunkKey {
    task.key(part.input.index, block.phase, block.chunk)
}

/// Returns the factor of each channel's noise.
fn channel_scale(task: &JobContext, block: &DrawBlock) -> Vec<f32> {
    let scale = |(_, std): &(f64, f64)| (block.sigma.get() / std) as f32;
    task.network.normalisation().iter().map(scale).collect()
}
