//! Makes the batch of a forward pass: images under their noise.
//!
//! The draws that certify have noise on a grid; those that choose sigma have noise in single
//! precision.

use ddrs_common::domain::Phase;
use tch::{Kind, TchError, Tensor};

use super::batch_buffers::BatchBuffers;
use super::batch_mode::BatchMode;
use super::pass::{Pass, PassPart};
use super::request::DrawBlock;
use super::task::JobContext;
use crate::noise::{ChannelMaps, ChunkKey, NoisyValue};

/// The most values whose integers a device makes at once. Each takes 8 bytes in about ten tensors.
const DEVICE_VALUES: u64 = 1 << 22;

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
        Kind::BFloat16 => bf16_tensor(&noisy_values(task, pass, rows)?, shape),
        kind => Tensor::f_from_slice::<f32>(&noisy_values(task, pass, rows)?)?
            .f_view(shape)?
            .f_to_kind(kind),
    }
}

fn bf16_tensor(values: &[[u8; 2]], shape: [i64; 4]) -> Result<Tensor, TchError> {
    Tensor::f_from_data_size(values.as_flattened(), &shape, Kind::BFloat16)
}

fn noisy_values<V: NoisyValue>(
    task: &JobContext,
    pass: &Pass,
    rows: usize,
) -> Result<Vec<V>, TchError> {
    let size = task.network.shape().iter().product();
    let mut batch = vec![V::default(); rows * size];
    let maps = task.channel_maps().repeated(size);
    let mut images = batch.as_mut_slice();
    for (part, block) in pass.blocks() {
        let (rows, rest) = images.split_at_mut(block.len() as usize * size);
        write_rows(task, part, &block, &maps, rows)?;
        images = rest;
    }
    Ok(batch)
}

/// Writes an image under each draw of a block.
fn write_rows<V: NoisyValue>(
    task: &JobContext,
    part: &PassPart,
    block: &DrawBlock,
    maps: &ChannelMaps,
    rows: &mut [V],
) -> Result<(), TchError> {
    let input = &part.input;
    let size = input.pixels.len();
    let images = rows.chunks_exact_mut(size);
    if block.phase == Phase::Sigma {
        let key = chunk_key(task, part, block);
        let scale: Vec<f32> = repeated(&channel_scale(task, block), size);
        for (draw, image) in block.draws.clone().zip(images) {
            key.add_noise(draw, &input.normalised, &scale, image);
        }
    } else {
        let key = task.phase_key(input.index, block.phase);
        let sampler = task.core.samplers.get(block.sigma, task.data.images.grid)?;
        for (draw, image) in block.numbers().zip(images) {
            sampler.add_noise(key, draw, &input.grid_image.steps, maps, image);
        }
    }
    Ok(())
}

/// Repeats the values of the channels for each pixel of an image of `size` values.
fn repeated(channels: &[f32], size: usize) -> Vec<f32> {
    channels.iter().copied().cycle().take(size).collect()
}

/// Makes a batch on the device. The memory is used again by every pass.
fn device_batch(task: &JobContext, pass: &Pass, rows: usize) -> Result<Tensor, TchError> {
    let mut buffers = task.core.buffers();
    let shape = task.memory_shape(rows);
    let batch = buffers.batch(shape, task.network.kind(), task.core.device)?;
    let mut row = 0;
    for (part, block) in pass.blocks() {
        let count = block.len() as i64;
        let rows = batch.f_narrow(0, row, count)?;
        if block.phase == Phase::Sigma {
            write_block(task, &mut buffers, part, &block, &rows)?;
        } else {
            write_grid_block(task, &mut buffers, part, &block, &rows)?;
        }
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

/// Writes image + scale · noise into `rows`, for each draw of a block of the sigma phase.
fn write_block(
    task: &JobContext,
    buffers: &mut BatchBuffers,
    part: &PassPart,
    block: &DrawBlock,
    rows: &Tensor,
) -> Result<(), TchError> {
    let device = task.core.device;
    let key = chunk_key(task, part, block);
    let noise = buffers.noise(key, task.memory_shape(block.of as usize), device)?;
    let scale = buffers.channels(&channel_scale(task, block), device)?;
    let image = part.input.on(device, task.memory_shape(1))?;
    let noise = noise.f_narrow(0, block.draws.start as i64, rows.size()[0])?;
    let _ = image.f_addcmul_out(rows, &noise, &scale)?;
    Ok(())
}

/// Writes scale · (image + noise) + offset into `rows`, for each draw of a block on the grid, a
/// part of the draws at a time.
fn write_grid_block(
    task: &JobContext,
    buffers: &mut BatchBuffers,
    part: &PassPart,
    block: &DrawBlock,
    rows: &Tensor,
) -> Result<(), TchError> {
    let device = task.core.device;
    let sampler = task.core.samplers.get(block.sigma, task.data.images.grid)?;
    let thresholds = buffers.thresholds(&sampler, device)?;
    let maps = task.channel_maps();
    let scale = buffers.channels(&maps.scale, device)?;
    let offset = buffers.channels(&maps.offset, device)?;
    let image = part.input.steps_on(device, task.memory_shape(1))?;
    let key = task.phase_key(part.input.index, block.phase);
    let values = part.input.pixels.len();
    let at_once = (DEVICE_VALUES / values as u64).max(1) as u32;
    let numbers = block.numbers();
    let mut row = 0;
    for start in numbers.clone().step_by(at_once as usize) {
        let draws = start..numbers.end.min(start + at_once);
        let count = draws.len();
        let noise = thresholds.noise(key, draws, values)?;
        let steps = noise.f_view(task.memory_shape(count))?.f_add(&image)?;
        // Two operations, each rounded once as on the CPU.
        let noisy = steps
            .f_to_kind(Kind::Float)?
            .f_mul(&scale)?
            .f_add(&offset)?;
        rows.f_narrow(0, row, count as i64)?.f_copy_(&noisy)?;
        row += count as i64;
    }
    Ok(())
}

fn chunk_key(task: &JobContext, part: &PassPart, block: &DrawBlock) -> ChunkKey {
    task.key(part.input.index, block.phase, block.chunk)
}

/// Returns the factor of each channel's noise.
fn channel_scale(task: &JobContext, block: &DrawBlock) -> Vec<f32> {
    let scale = |(_, std): &(f64, f64)| (block.sigma.get() / std) as f32;
    task.network.normalisation().iter().map(scale).collect()
}
