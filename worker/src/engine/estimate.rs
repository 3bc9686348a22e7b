//! The radius that fresh draws estimate at given sigmas: what ways of choosing sigma are compared
//! by.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, anyhow};
use ddrs_common::domain::Sigma;
use ddrs_common::spec::{Sweep, Variant};

use super::board::Pass;
use super::certify::{Sample, Task};
use super::input::Input;
use super::progress::{means, probabilities};
use super::request::Request;
use super::{Engine, LoadedNetwork};
use crate::model::brief;
use crate::sigma::estimate;

impl Engine {
    /// R of Algorithm 1 at each of some sigmas, from the same draws of the variant's sigma phase.
    ///
    /// # Errors
    /// What torch reports, and scores that are not finite.
    pub fn estimate_radii(
        &self,
        network: &LoadedNetwork,
        variant: &Variant,
        sweep: &Sweep,
        sample: &Sample,
        sigmas: &[Sigma],
        draws: u32,
    ) -> Result<Vec<f64>> {
        let never = AtomicBool::new(false);
        let task = Task {
            engine: self,
            network,
            sweep,
            variant,
            stop: &never,
        };
        let input = Arc::new(Input::new(sample, network).map_err(|error| anyhow!(error))?);
        let request = Arc::new(Request::Compare {
            sigmas: sigmas.to_vec(),
            draws: u64::from(draws),
        });
        let (rows, step) = (request.rows(), task.rows());
        let pieces =
            (0..rows.div_ceil(step)).map(|number| number * step..rows.min((number + 1) * step));
        let classes = network.classes() as usize;
        let mut all = vec![0.0; rows as usize * classes];
        for rows in pieces {
            let pass = Pass::of(Arc::clone(&input), Arc::clone(&request), rows.clone());
            let answers = self.lanes.install(|| {
                tch::no_grad(|| task.read(&pass, step, &task.launch(&pass, step)?)).map_err(brief)
            })?;
            let place = rows.start as usize * classes;
            for (number, found) in all[place..]
                .chunks_exact_mut(classes)
                .take(pass.rows() as usize)
                .enumerate()
            {
                probabilities(&answers.row(number), found).map_err(|reason| anyhow!("{reason}"))?;
            }
        }
        let psi = means(&all, draws as usize, classes);
        let clamp = sweep.smoothing.data_dependent.clamp;
        Ok(sigmas
            .iter()
            .zip(&psi)
            .map(|(&sigma, psi)| estimate(sigma, psi, clamp))
            .collect())
    }

    /// How many images each forward pass takes.
    ///
    /// # Errors
    /// What torch reports.
    pub fn images_per_pass(&self, network: &LoadedNetwork, sweep: &Sweep) -> Result<u64> {
        let [_, height, width] = network.shape();
        let rows = super::pass::rows(self.side, sweep.certify.chunk.get(), height * width);
        Ok(self.passes(network, rows)?.rows)
    }
}
