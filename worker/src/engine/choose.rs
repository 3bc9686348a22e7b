//! Sigma for the inputs of a job, in groups.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ddrs_common::domain::Phase;
use ddrs_common::spec::Sweep;
use tch::{TchError, Tensor};

use super::Engine;
use super::certify::{Task, Trouble};
use super::input::Input;
use crate::sigma::ascend;

/// Inputs whose sigmas are chosen together. An input's sigma must not depend on its company, to the last bit, so both
/// the shape of the batch and an input's place in it are fixed: libraries choose kernels by shape, and some of them sum
/// in another order in another row. The place follows from the position in the sweep; places that are not asked for
/// hold some input that is. Where a step takes few draws, two inputs make too small a batch; larger groups than four leave
/// lanes idle in jobs of a few samples.
const CPU_GROUP: usize = 2;
const CPU_GROUP_OF_FEW_DRAWS: usize = 4;
/// From so many draws on two inputs are enough.
const MANY_DRAWS: u32 = 4;
/// A GPU takes a step of this many images in little more than the time that it takes one of a few, for launching kernels is what
/// costs: on an H200 16 ms for 12 of a ResNet-110, 8 ms for 4 of a ResNet-20, where it was 32 images. Jobs of fewer inputs
/// than this makes leave places of it empty.
const GPU_IMAGES: usize = 256;

/// How the choice of sigma is told to stop from inside.
const STOPPED: &str = "stopped";

impl Engine {
    /// How many inputs climb to their sigmas together, on one lane.
    #[must_use]
    pub fn group_size(&self, sweep: &Sweep) -> usize {
        let draws = sweep.smoothing.data_dependent.draws;
        if self.device.is_cuda() {
            (GPU_IMAGES / draws.max(1) as usize).clamp(CPU_GROUP_OF_FEW_DRAWS, GPU_IMAGES)
        } else if draws < MANY_DRAWS {
            CPU_GROUP_OF_FEW_DRAWS
        } else {
            CPU_GROUP
        }
    }
}

impl Task<'_> {
    /// How many inputs are in a group.
    pub(super) fn group_size(&self) -> usize {
        self.engine.group_size(self.sweep)
    }

    /// Algorithm 1 for inputs of one group. `None` where a derivative was not finite.
    pub(super) fn choose(&self, inputs: &[Arc<Input>]) -> Result<Vec<Option<f64>>, Trouble> {
        let spec = &self.sweep.smoothing.data_dependent;
        let size = self.group_size();
        let Some(any) = inputs.first() else { return Ok(Vec::new()) };
        let place = |input: &Arc<Input>| (input.position % size as u64) as usize;
        let at = |wanted| inputs.iter().find(|input| place(input) == wanted).unwrap_or(any);
        let filled: Vec<&Input> = (0..size).map(|place| at(place).as_ref()).collect();
        let images = self.images(&filled)?;
        let noise = |step: u64| {
            if self.stop.load(Ordering::Relaxed) {
                return Err(TchError::Torch(STOPPED.to_owned()));
            }
            let mut noise = Vec::with_capacity(images.numel() * spec.draws as usize);
            for input in &filled {
                self.key(input.index, Phase::Sigma, step).append(u64::from(spec.draws), input.pixels.len(), &mut noise);
            }
            self.tensor(&noise, size * spec.draws as usize)
        };
        let scores = |batch: &Tensor| self.network.differentiable_scores(batch);
        let sigma0 = vec![self.variant.sigma0.get(); size];
        match ascend(&images, &sigma0, spec, &scores, noise) {
            Ok(sigmas) => Ok(inputs.iter().map(|input| sigmas[place(input)]).collect()),
            Err(TchError::Torch(reason)) if reason == STOPPED => Err(Trouble::Stopped),
            Err(error) => Err(error.into()),
        }
    }
}
