//! Gradient ascent to the sigmas of the inputs of a job, in groups.

use std::sync::Arc;

use ddrs_common::domain::Phase;
use ddrs_common::spec::Sweep;
use tch::{Device, Tensor};

use super::input::PreparedInput;
use super::network::LoadedNetwork;
use super::task::{JobContext, JobError};
use crate::sigma::ascend;

/// The number of inputs whose sigmas are chosen together.
///
/// An input's sigma must not depend on the other inputs, to the last bit. So both the shape of the
/// batch and an input's place in it are fixed: libraries choose kernels by shape, and some of them
/// sum in another order in another row. The place follows from the position in the sweep. Places
/// whose inputs are not in the group repeat one that is. Where a step takes few draws, two inputs
/// make too small a batch. Groups larger than four leave threads idle in jobs of a few samples.
const CPU_GROUP: usize = 2;
const CPU_GROUP_OF_FEW_DRAWS: usize = 4;
/// The number of draws from which two inputs per group are enough.
const MANY_DRAWS: u32 = 4;
/// Pixels of a step on a GPU, limited to [`GPU_IMAGES`]. Launching kernels is the main cost there:
/// on an H200 a step of 256 images of 32 x 32 took 16 ms on a ResNet-110, where 32 images took
/// 12 ms; on a ResNet-20 it took 8 ms and 4 ms. Photographs fill a GPU earlier, and its memory.
const GPU_PIXELS: usize = 256 * 32 * 32;
/// The fewest and the most images of a step on a GPU.
const GPU_IMAGES: (usize, usize) = (32, 256);
/// The most inputs of a step on a GPU. Jobs of fewer samples leave places of it unused.
const GPU_GROUP: usize = 32;

/// Returns the number of inputs whose sigmas are chosen together, on one thread.
pub(super) fn group_size(device: Device, network: &LoadedNetwork, sweep: &Sweep) -> usize {
    let [_, height, width] = network.shape();
    let draws = sweep.smoothing.data_dependent.draws;
    if device.is_cuda() {
        gpu_group(draws, height * width)
    } else {
        cpu_group(draws)
    }
}

fn cpu_group(draws: u32) -> usize {
    if draws < MANY_DRAWS {
        CPU_GROUP_OF_FEW_DRAWS
    } else {
        CPU_GROUP
    }
}

fn gpu_group(draws: u32, pixels: usize) -> usize {
    let images = (GPU_PIXELS / pixels.max(1)).clamp(GPU_IMAGES.0, GPU_IMAGES.1);
    (images / draws.max(1) as usize).clamp(CPU_GROUP_OF_FEW_DRAWS, GPU_GROUP)
}

/// Runs Algorithm 1 for the inputs of one group. A sigma is `None` if a derivative or a score was
/// not finite.
pub(super) fn choose_sigmas(
    task: &JobContext,
    inputs: &[Arc<PreparedInput>],
) -> Result<Vec<Option<f64>>, JobError> {
    if inputs.is_empty() {
        return Ok(Vec::new());
    }
    let size = group_size(task.core.device, task.network, task.sweep);
    let group = fill_places(inputs, size);
    let images = task.images(&group)?;
    let sigma0 = vec![task.variant.sigma0.get(); size];
    let scores = |batch: &Tensor| task.network.differentiable_scores(batch);
    let noise = |step| step_noise(task, &group, step);
    let sigmas = ascend(&images, &sigma0, task.sigma_spec(), &scores, noise)?;
    Ok(inputs
        .iter()
        .map(|input| sigmas[place(input, size)])
        .collect())
}

/// Puts each input at its place in the batch. The first input fills the places that are left.
fn fill_places(inputs: &[Arc<PreparedInput>], size: usize) -> Vec<&PreparedInput> {
    let mut group = vec![inputs[0].as_ref(); size];
    for input in inputs.iter().rev() {
        group[place(input, size)] = input;
    }
    group
}

/// Returns an input's place in the batch of its group.
fn place(input: &PreparedInput, size: usize) -> usize {
    (input.position % size as u64) as usize
}

/// Draws the noise of one step for all places of a batch.
fn step_noise(task: &JobContext, group: &[&PreparedInput], step: u64) -> Result<Tensor, JobError> {
    if task.is_stopped() {
        return Err(JobError::Stopped);
    }
    let draws = task.sigma_spec().draws;
    let mut noise = Vec::new();
    for input in group {
        let key = task.key(input.index, Phase::Sigma, step);
        key.append(u64::from(draws), input.pixels.len(), &mut noise);
    }
    Ok(task.tensor(&noise, group.len() * draws as usize)?)
}

#[cfg(test)]
mod tests {
    use super::gpu_group;

    #[test]
    fn a_gpu_takes_many_small_images_and_few_large_ones_but_never_few_draws() {
        let inputs = |pixels, draws| gpu_group(draws, pixels);
        assert_eq!(
            [1, 4, 8, 32, 100].map(|draws| inputs(32 * 32, draws)),
            [32, 32, 32, 8, 4]
        );
        assert_eq!(
            [1, 4, 8, 32].map(|draws| inputs(224 * 224, draws)),
            [32, 8, 4, 4]
        );
        assert_eq!(inputs(1, 1), 32);
    }
}
