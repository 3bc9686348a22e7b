//! Estimates the radius at given sigmas from fresh draws, to compare ways of choosing sigma.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use ddrs_common::domain::Sigma;
use tch::TchError;

use super::forward;
use super::input::PreparedInput;
use super::pass::Pass;
use super::request::DrawRequest;
use super::sample::Sample;
use super::scores::{PassScores, RowScores, mean_over_draws};
use super::task::JobContext;
use crate::failure::brief;
use crate::sigma::estimate;

/// Estimates R of Algorithm 1 at each of some sigmas, from the same draws of the variant's sigma
/// phase.
///
/// # Errors
/// When the sample does not fit the network, or scores are not finite.
pub(super) fn estimate_radii(
    task: &JobContext,
    sample: &Sample,
    sigmas: &[Sigma],
    draws: u32,
) -> Result<Vec<f64>> {
    let input = PreparedInput::new(sample, task.network, task.data.images.grid)
        .map_err(|error| anyhow!(error))?;
    let request = DrawRequest::Compare {
        sigmas: sigmas.to_vec(),
        draws: u64::from(draws),
    };
    let rows = probabilities(task, &Arc::new(input), &Arc::new(request))?;
    let psi = mean_over_draws(&rows, draws as usize, task.classes());
    let clamp = task.sigma_spec().clamp;
    let radius = |(&sigma, psi): (&Sigma, &Vec<f64>)| estimate(sigma, psi, clamp);
    Ok(sigmas.iter().zip(&psi).map(radius).collect())
}

/// Returns the probabilities of all rows of a request, of shape (rows, classes).
fn probabilities(
    task: &JobContext,
    input: &Arc<PreparedInput>,
    request: &Arc<DrawRequest>,
) -> Result<Vec<f64>> {
    let mut all = vec![0.0; request.rows() as usize * task.classes()];
    let mut found = all.chunks_exact_mut(task.classes());
    for rows in passes(request.rows(), task.rows()) {
        let pass = Pass::of(Arc::clone(input), Arc::clone(request), rows);
        let scores = scores(task, &pass)?;
        for (row, found) in (0..pass.rows() as usize).zip(&mut found) {
            write_probabilities(&scores.row(row), found)?;
        }
    }
    Ok(all)
}

fn write_probabilities(scores: &RowScores, found: &mut [f64]) -> Result<()> {
    let written = scores.write_probabilities(found);
    written.map_err(|reason| anyhow!("{reason}"))
}

/// Divides rows into passes of `step` rows each.
fn passes(rows: u64, step: u64) -> impl Iterator<Item = Range<u64>> {
    (0..rows.div_ceil(step)).map(move |number| number * step..rows.min((number + 1) * step))
}

/// Scores a pass on one of the engine's threads.
fn scores(task: &JobContext, pass: &Pass) -> Result<PassScores> {
    let threads = &task.core.threads;
    threads
        .install(|| tch::no_grad(|| run_pass(task, pass)))
        .map_err(brief)
}

fn run_pass(task: &JobContext, pass: &Pass) -> Result<PassScores, TchError> {
    let rows = task.rows();
    forward::read(task, pass, rows, &forward::launch(task, pass, rows)?)
}
