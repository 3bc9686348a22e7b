//! Sigma for the inputs of a job, in groups.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ddrs_common::domain::Phase;
use ddrs_common::spec::Sweep;
use tch::Tensor;

use super::certify::{Task, Trouble};
use super::input::Input;
use super::{Engine, LoadedNetwork};
use crate::sigma::ascend;

/// Inputs whose sigmas are chosen together. An input's sigma must not depend on its company, to the
/// last bit, so both the shape of the batch and an input's place in it are fixed: libraries choose
/// kernels by shape, and some of them sum in another order in another row. The place follows from
/// the position in the sweep; places that are not asked for hold some input that is. Where a step
/// takes few draws, two inputs make too small a batch; larger groups than four leave lanes idle in
/// jobs of a few samples.
const CPU_GROUP: usize = 2;
const CPU_GROUP_OF_FEW_DRAWS: usize = 4;
/// From so many draws on two inputs are enough.
const MANY_DRAWS: u32 = 4;
/// Pixels of a step on a GPU, in images of at least and at most so many. Launching kernels is what
/// costs there: on an H200 a step of 256 images of 32 x 32 took 16 ms for the 12 ms of 32 on a
/// ResNet-110, 8 for 4 on a ResNet-20. Photographs fill a GPU earlier, and its memory.
const GPU_PIXELS: usize = 256 * 32 * 32;
const GPU_IMAGES: (usize, usize) = (32, 256);
/// Inputs of a step on a GPU: jobs of fewer leave places of it empty.
const GPU_GROUP: usize = 32;

impl Engine {
    /// How many inputs of a network climb to their sigmas together, on one lane.
    #[must_use]
    pub fn group_size(&self, network: &LoadedNetwork, sweep: &Sweep) -> usize {
        let [_, height, width] = network.shape();
        group_size(
            self.device.is_cuda(),
            sweep.smoothing.data_dependent.draws,
            height * width,
        )
    }
}

fn group_size(gpu: bool, draws: u32, pixels: usize) -> usize {
    if gpu {
        let images = (GPU_PIXELS / pixels.max(1)).clamp(GPU_IMAGES.0, GPU_IMAGES.1);
        (images / draws.max(1) as usize).clamp(CPU_GROUP_OF_FEW_DRAWS, GPU_GROUP)
    } else if draws < MANY_DRAWS {
        CPU_GROUP_OF_FEW_DRAWS
    } else {
        CPU_GROUP
    }
}

impl Task<'_> {
    /// How many inputs are in a group.
    pub(super) fn group_size(&self) -> usize {
        self.engine.group_size(self.network, self.sweep)
    }

    /// Algorithm 1 for inputs of one group. `None` where a derivative was not finite.
    pub(super) fn choose(&self, inputs: &[Arc<Input>]) -> Result<Vec<Option<f64>>, Trouble> {
        let spec = &self.sweep.smoothing.data_dependent;
        let size = self.group_size();
        let Some(any) = inputs.first() else {
            return Ok(Vec::new());
        };
        let place = |input: &Arc<Input>| (input.position % size as u64) as usize;
        let at = |wanted| {
            inputs
                .iter()
                .find(|input| place(input) == wanted)
                .unwrap_or(any)
        };
        let filled: Vec<&Input> = (0..size).map(|place| at(place).as_ref()).collect();
        let images = self.images(&filled)?;
        let noise = |step: u64| {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Trouble::Stopped);
            }
            let mut noise = Vec::with_capacity(images.numel() * spec.draws as usize);
            for input in &filled {
                self.key(input.index, Phase::Sigma, step).append(
                    u64::from(spec.draws),
                    input.pixels.len(),
                    &mut noise,
                );
            }
            Ok(self.tensor(&noise, size * spec.draws as usize)?)
        };
        let scores = |batch: &Tensor| self.network.differentiable_scores(batch);
        let sigma0 = vec![self.variant.sigma0.get(); size];
        let sigmas = ascend(&images, &sigma0, spec, &scores, noise)?;
        Ok(inputs.iter().map(|input| sigmas[place(input)]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::group_size;

    #[test]
    fn a_gpu_takes_many_small_images_and_few_large_ones_but_never_few_draws() {
        let inputs = |pixels, draws| group_size(true, draws, pixels);
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
