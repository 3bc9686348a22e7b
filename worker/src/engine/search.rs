//! Sigma without derivatives: candidates under the same noise, through the passes that count classes.

use std::sync::atomic::Ordering;

use anyhow::anyhow;
use ddrs_common::domain::Phase;
use rayon::prelude::*;
use tch::{Kind, Tensor};

use super::certify::{Input, Task, Trouble};
use crate::sigma::{Search, estimated_radius};

impl Task<'_> {
    /// The sigma of the largest radius that Algorithm 1 would estimate of this input from the first draws of its
    /// `sigma` phase, among the candidates of a search. `None` where scores were not finite.
    ///
    /// All candidates have the same draws, so their radii differ by sigma and not by luck. Nothing but the input is in
    /// a batch, so its sigma depends on no other.
    pub(super) fn search(&self, input: &Input, rounds: u32, candidates: u32) -> Result<Option<f64>, Trouble> {
        let (low, high) = self.sweep.smoothing.data_dependent.range;
        let range = (low.get(), high.get());
        let search = Search { sigma0: self.variant.sigma0.get(), range, rounds, candidates };
        search.run(|sigmas| self.radii(input, sigmas))
    }

    /// Algorithm 1's estimate of the radius at each of some sigmas, `None` where a score is not finite.
    pub(super) fn radii(&self, input: &Input, sigmas: &[f64]) -> Result<Option<Vec<f64>>, Trouble> {
        let spec = &self.sweep.smoothing.data_dependent;
        let draws = u64::from(spec.draws);
        let rows: Vec<(u64, f64)> =
            sigmas.iter().flat_map(|&sigma| (0..draws).map(move |draw| (draw, sigma))).collect();
        let slice = self.slice(self.sweep.certify.chunk.get()) as usize;
        let parts: Vec<Tensor> =
            rows.par_chunks(slice).map(|rows| self.probabilities(input, rows)).collect::<Result<_, _>>()?;
        tch::no_grad(|| {
            let all = Tensor::f_cat(&parts, 0)?.f_view([sigmas.len() as i64, draws as i64, -1])?;
            let psi = all.f_mean_dim(1, false, Kind::Double)?;
            let radii = estimated_radius(&Tensor::f_from_slice(sigmas)?.f_to(psi.device())?, &psi, spec.clamp)?;
            let radii: Vec<f64> = Vec::try_from(radii)?;
            // One probability that is no number makes all that it is averaged with none, and clamping keeps it.
            Ok(radii.iter().all(|radius| radius.is_finite()).then_some(radii))
        })
    }

    /// One forward pass: the probabilities of the classes, of shape (rows, classes), NaN where a score is not finite.
    fn probabilities(&self, input: &Input, rows: &[(u64, f64)]) -> Result<Tensor, Trouble> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Trouble::Stopped);
        }
        let key = self.key(input, Phase::Sigma, 0);
        let expected = [rows.len() as i64, i64::from(self.network.classes())];
        tch::no_grad(|| {
            let batch = self.tensor(&key.noisy(rows.iter().copied(), &input.pixels), rows.len())?;
            let scores = self.network.scores(&batch)?;
            if scores.size() != expected {
                return Err(Trouble::Job(anyhow!(
                    "the model's scores have shape {:?}, expected {expected:?}",
                    scores.size()
                )));
            }
            // A class at minus infinity would leave the probabilities of the others finite.
            let doubt = scores.f_sub(&scores)?.f_sum_dim_intlist(1, true, Kind::Double)?;
            Ok::<_, Trouble>(scores.f_softmax(-1, Kind::Double)?.f_add(&doubt)?)
        })
    }
}
