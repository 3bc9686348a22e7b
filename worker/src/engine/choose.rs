//! Sigma for the inputs of a job, in groups.

use std::sync::atomic::Ordering;

use ddrs_common::domain::Phase;
use ddrs_common::spec::SigmaMethod;
use rayon::prelude::*;
use tch::{TchError, Tensor};

use super::certify::{Input, Task, Trouble};
use crate::sigma::ascend;

/// Inputs whose sigmas are chosen together. An input's sigma must not depend on its company, to the last bit, so both
/// the shape of the batch and an input's place in it are fixed: libraries choose kernels by shape, and some of them sum
/// in another order in another row. The place follows from the position in the sweep; places that are not asked for
/// hold some input that is. Larger groups pay only where a step takes very few draws, and leave lanes idle in jobs of a
/// few samples.
const CPU_GROUP: usize = 2;
const GPU_GROUP: usize = 4;

/// How the choice of sigma is told to stop from inside.
const STOPPED: &str = "stopped";

impl Task<'_> {
    /// How many inputs are in a group.
    pub(super) fn group_size(&self) -> usize {
        if self.engine.device.is_cuda() { GPU_GROUP } else { CPU_GROUP }
    }

    /// Sigma for the inputs of one group by the method of the specification. `None` where something was not finite.
    pub(super) fn choose(&self, inputs: &[Input]) -> Result<Vec<Option<f64>>, Trouble> {
        match self.sweep.smoothing.data_dependent.method {
            SigmaMethod::Gradient => self.ascend(inputs),
            SigmaMethod::Search { rounds, candidates } => {
                inputs.par_iter().map(|input| self.search(input, rounds, candidates)).collect()
            }
        }
    }

    /// Algorithm 1, for all inputs of the group at once.
    fn ascend(&self, inputs: &[Input]) -> Result<Vec<Option<f64>>, Trouble> {
        let spec = &self.sweep.smoothing.data_dependent;
        let size = self.group_size();
        let Some(any) = inputs.first() else { return Ok(Vec::new()) };
        let place = |input: &Input| (input.position % size as u64) as usize;
        let at = |wanted| inputs.iter().find(|input| place(input) == wanted).unwrap_or(any);
        let filled: Vec<&Input> = (0..size).map(at).collect();
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
        let sigma0 = vec![self.variant.sigma0.get(); size];
        match ascend(&images, &sigma0, spec, &scores, noise) {
            Ok(sigmas) => Ok(inputs.iter().map(|input| sigmas[place(input)]).collect()),
            Err(TchError::Torch(reason)) if reason == STOPPED => Err(Trouble::Stopped),
            Err(error) => Err(error.into()),
        }
    }
}
