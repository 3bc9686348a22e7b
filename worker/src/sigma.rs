//! Chooses sigma: Algorithm 1 of Alfarra, Bibi, Torr and Ghanem (2022) for several inputs at once,
//! and a search for the maximum that the algorithm ascends to.
//!
//! In reading order:
//! - [`ascend`]: gradient ascent on the estimated radius
//! - [`Search`]: comparison of sigmas on the same draws
//! - [`estimated_radius`], [`estimate`]: the estimate of the radius, for tensors and for numbers

mod search;

pub use search::{Search, estimate};

use ddrs_common::spec::DataDependentSpec;
use tch::{Kind, TchError, Tensor};

/// Gradient ascent on the certified radius as estimated from few draws,
///
/// R(sigma) = sigma/2 · (q(psi_1) - q(psi_2)).
///
/// psi is the mean over the draws of softmax(f(x + sigma·eps)). psi_1 and psi_2 are its two largest
/// entries, clamped to \[clamp, 1 - clamp\]. q is the standard normal quantile. Each of
/// `iterations` steps moves sigma by `learning-rate` times dR/dsigma and keeps it in `range`. The
/// network is frozen.
///
/// - `images` has shape (B, …), and `sigma0` holds the B initial sigmas.
/// - `noise` returns, for each step, a tensor of shape (B · draws, …) of the same kind. The draws
///   of an input follow each other.
/// - `scores` maps such a batch to (B · draws, classes).
///
/// Sigma and R are in double precision, whatever the network computes in. Returns B values. A value
/// is `None` if a score or a step was not finite.
///
/// # Errors
/// When `noise` fails, `sigma0` has another length than `images`, or torch reports an error.
pub fn ascend<E: From<TchError>>(
    images: &Tensor,
    sigma0: &[f64],
    spec: &DataDependentSpec,
    scores: &dyn Fn(&Tensor) -> Result<Tensor, TchError>,
    mut noise: impl FnMut(u64) -> Result<Tensor, E>,
) -> Result<Vec<Option<f64>>, E> {
    let batch = AscentBatch::new(images, i64::from(spec.draws))?;
    let mut sigma = batch.initial_sigma(sigma0)?;
    for step in 0..u64::from(spec.iterations) {
        let leaf = sigma.f_detach()?.f_set_requires_grad(true)?;
        let scale = batch.per_draw(&leaf)?;
        let noisy = batch.images.f_add(&scale.f_mul(&noise(step)?)?)?;
        let scored = scores(&noisy)?;
        let radius = estimated_radius(&leaf, &batch.psi(&scored)?, spec.clamp)?;
        sigma = moved(&sigma, &derivative(&radius, &leaf)?, spec)?;
        sigma = sigma.f_add(&batch.nan_where_not_finite(&scored)?)?;
    }
    Ok(finite_values(sigma)?)
}

/// The inputs of an ascent, each repeated once per draw.
struct AscentBatch {
    /// Shape (B · draws, …).
    images: Tensor,
    inputs: i64,
    draws: i64,
}

impl AscentBatch {
    fn new(images: &Tensor, draws: i64) -> Result<Self, TchError> {
        Ok(Self {
            images: images.f_repeat_interleave_self_int(draws, 0, None)?,
            inputs: images.size()[0],
            draws,
        })
    }

    fn initial_sigma(&self, sigma0: &[f64]) -> Result<Tensor, TchError> {
        if self.inputs != sigma0.len() as i64 {
            let error = format!("{} sigmas for {} images", sigma0.len(), self.inputs);
            return Err(TchError::Shape(error));
        }
        Tensor::f_from_slice(sigma0)?.f_to(self.images.device())
    }

    /// Repeats sigma once per draw, in the shape and the kind that multiply noise.
    fn per_draw(&self, sigma: &Tensor) -> Result<Tensor, TchError> {
        let mut shape = vec![1; self.images.dim()];
        shape[0] = -1;
        sigma
            .f_repeat_interleave_self_int(self.draws, 0, None)?
            .f_view(&shape[..])?
            .f_to_kind(self.images.kind())
    }

    /// Returns the mean of the softmax over the draws, of shape (B, classes).
    fn psi(&self, scored: &Tensor) -> Result<Tensor, TchError> {
        scored
            .f_softmax(-1, Kind::Double)?
            .f_view([self.inputs, self.draws, -1])?
            .f_mean_dim(1, false, Kind::Double)
    }

    /// Returns NaN for each input with a score that is not finite, and 0 for the others.
    ///
    /// Such a score need not show elsewhere: a class at minus infinity leaves the probabilities of
    /// the others, and their derivative, finite.
    fn nan_where_not_finite(&self, scored: &Tensor) -> Result<Tensor, TchError> {
        scored
            .f_sub(scored)?
            .f_to_kind(Kind::Double)?
            .f_view([self.inputs, -1])?
            .f_sum_dim_intlist(1, false, Kind::Double)
    }
}

fn derivative(radius: &Tensor, sigma: &Tensor) -> Result<Tensor, TchError> {
    let sum = radius.f_sum(Kind::Double)?;
    Ok(Tensor::f_run_backward(&[sum], &[sigma], false, false)?.remove(0))
}

/// Makes one step, and keeps sigma in its range. An infinite derivative makes sigma NaN.
fn moved(sigma: &Tensor, gradient: &Tensor, spec: &DataDependentSpec) -> Result<Tensor, TchError> {
    let moved = sigma
        .f_add(&gradient.f_mul_scalar(spec.learning_rate)?)?
        .f_clamp(spec.range.0.get(), spec.range.1.get())?;
    // Clamping would hide an infinite derivative. Its difference from itself is NaN; that of a
    // finite derivative is 0.
    moved.f_add(&gradient.f_sub(gradient)?)
}

/// Returns the values that are finite. A NaN of an earlier step is still there, for clamping and
/// adding keep it.
fn finite_values(sigma: Tensor) -> Result<Vec<Option<f64>>, TchError> {
    let values: Vec<f64> = Vec::try_from(sigma)?;
    Ok(values
        .into_iter()
        .map(|value| value.is_finite().then_some(value))
        .collect())
}

/// Estimates the radius R of [`ascend`] for sigma of shape (B) and psi of shape (B, classes), in
/// double precision. Differentiable. [`estimate`] is the form for plain numbers.
fn estimated_radius(sigma: &Tensor, psi: &Tensor, clamp: f64) -> Result<Tensor, TchError> {
    let (top, _) = psi.f_topk(2, -1, true, true)?;
    sigma.f_mul(&quantile_gap(&top, clamp)?)?.f_mul_scalar(0.5)
}

/// Returns the difference q(p_1) - q(p_2) for each row of `top`, which has shape (B, 2).
/// Differentiable.
///
/// A row has the two largest probabilities of an input, p_1 and p_2, clamped to
/// \[clamp, 1 - clamp\]. q is the standard normal quantile.
pub(crate) fn quantile_gap(top: &Tensor, clamp: f64) -> Result<Tensor, TchError> {
    let quantiles = top.f_clamp(clamp, 1.0 - clamp)?.f_special_ndtri()?;
    quantiles.f_select(1, 0)?.f_sub(&quantiles.f_select(1, 1)?)
}

#[cfg(test)]
mod tests;
