//! Sigma for the inputs of a job, in groups.

use std::sync::atomic::Ordering;

use ddrs_common::domain::Phase;
use tch::{TchError, Tensor};

use super::certify::{Input, Task, Trouble};
use crate::sigma::ascend;

/// Inputs whose sigmas are chosen together. The shape is the same for every group, filled up when there are fewer, for
/// libraries choose their kernels by the shape, and an input's sigma must not depend on its company. On the CPU larger
/// groups pay only where a step takes very few draws, and they leave lanes idle in jobs of a few samples.
const CPU_GROUP: usize = 2;
const GPU_GROUP: usize = 32;

/// How the choice of sigma is told to stop from inside.
const STOPPED: &str = "stopped";

impl Task<'_> {
    /// How many inputs are in a group.
    pub(super) fn group_size(&self) -> usize {
        if self.engine.device.is_cuda() { GPU_GROUP } else { CPU_GROUP }
    }

    /// Algorithm 1 for a group of inputs, the last repeated where they do not fill it. `None` where a derivative was not
    /// finite.
    pub(super) fn choose(&self, inputs: &[Input]) -> Result<Vec<Option<f64>>, Trouble> {
        let spec = &self.sweep.smoothing.data_dependent;
        let size = self.group_size();
        let Some(last) = inputs.last() else { return Ok(Vec::new()) };
        let filled: Vec<&Input> = inputs.iter().chain(std::iter::repeat(last)).take(size).collect();
        let values: Vec<f32> = filled.iter().flat_map(|input| input.pixels.iter().copied()).collect();
        let images = self.tensor(&values, size)?;
        let noise = |step: u64| {
            if self.stop.load(Ordering::Relaxed) {
                return Err(TchError::Torch(STOPPED.to_owned()));
            }
            let mut noise = Vec::with_capacity(values.len() * spec.draws as usize);
            for input in &filled {
                self.key(input, Phase::Sigma, step).append(u64::from(spec.draws), input.pixels.len(), &mut noise);
            }
            self.tensor(&noise, size * spec.draws as usize)
        };
        let scores = |batch: &Tensor| self.network.scores(batch);
        match ascend(&images, self.variant.sigma0.get(), spec, &scores, noise) {
            Ok(mut sigmas) => {
                sigmas.truncate(inputs.len());
                Ok(sigmas)
            }
            Err(TchError::Torch(reason)) if reason == STOPPED => Err(Trouble::Stopped),
            Err(error) => Err(error.into()),
        }
    }
}
