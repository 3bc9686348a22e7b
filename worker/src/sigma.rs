//! Choosing sigma: Algorithm 1 of Alfarra, Bibi, Torr and Ghanem (2022), for several inputs at
//! once; and a search for the maximum that it climbs to.

mod search;

pub use search::{Search, estimate};

use ddrs_common::spec::DataDependentSpec;
use tch::{Kind, TchError, Tensor};

/// Gradient ascent on the certified radius as estimated from few draws,
///
/// R(sigma) = sigma/2 · (q(psi_1) - q(psi_2)),
///
/// psi being the mean over the draws of softmax(f(x + sigma·eps)), its two largest entries clamped
/// to \[clamp, 1 - clamp\], and q the standard normal quantile. Each of `iterations` steps moves
/// sigma by `learning-rate` times dR/dsigma and keeps it in `range`; the network is frozen.
///
/// `images` has shape (B, …), `sigma0` is where each of the B begins; `noise` gives for each step a
/// tensor of shape (B · draws, …) of the same kind, the draws of an input side by side; `scores`
/// maps such a batch to (B · draws, classes). Sigma and R are in double precision whatever the
/// network is in. Returns B values, `None` where scores or a step were not finite.
///
/// # Errors
/// What torch or `noise` reports.
pub fn ascend<E: From<TchError>>(
    images: &Tensor,
    sigma0: &[f64],
    spec: &DataDependentSpec,
    scores: &dyn Fn(&Tensor) -> Result<Tensor, TchError>,
    mut noise: impl FnMut(u64) -> Result<Tensor, E>,
) -> Result<Vec<Option<f64>>, E> {
    let (inputs, draws) = (images.size()[0], i64::from(spec.draws));
    if inputs != sigma0.len() as i64 {
        let error = format!("{} sigmas for {inputs} images", sigma0.len());
        return Err(TchError::Shape(error).into());
    }
    let repeated = images.f_repeat_interleave_self_int(draws, 0, None)?;
    let mut spread = vec![1; images.dim()];
    spread[0] = -1;
    let (low, high) = (spec.range.0.get(), spec.range.1.get());
    let mut sigma = Tensor::f_from_slice(sigma0)?.f_to(images.device())?;
    for step in 0..u64::from(spec.iterations) {
        let leaf = sigma.f_detach()?.f_set_requires_grad(true)?;
        let each = leaf
            .f_repeat_interleave_self_int(draws, 0, None)?
            .f_view(&spread[..])?
            .f_to_kind(images.kind())?;
        let noisy = repeated.f_add(&each.f_mul(&noise(step)?)?)?;
        let scored = scores(&noisy)?;
        let psi = scored
            .f_softmax(-1, Kind::Double)?
            .f_view([inputs, draws, -1])?
            .f_mean_dim(1, false, Kind::Double)?;
        let radius = estimated_radius(&leaf, &psi, spec.clamp)?;
        let gradient =
            Tensor::f_run_backward(&[radius.f_sum(Kind::Double)?], &[&leaf], false, false)?
                .remove(0);
        let moved = sigma
            .f_add(&gradient.f_mul_scalar(spec.learning_rate)?)?
            .f_clamp(low, high)?;
        // Clamping would hide an infinite derivative; its difference from itself is NaN, and 0
        // where it is finite.
        sigma = moved.f_add(&gradient.f_sub(&gradient)?)?;
        // So do scores: a class at minus infinity leaves the others' probabilities, and their
        // derivative, finite.
        let doubt = scored
            .f_sub(&scored)?
            .f_to_kind(Kind::Double)?
            .f_view([inputs, -1])?;
        sigma = sigma.f_add(&doubt.f_sum_dim_intlist(1, false, Kind::Double)?)?;
    }
    let values: Vec<f64> = Vec::try_from(sigma)?;
    // A NaN, once there, stays: clamping and adding keep it.
    Ok(values
        .into_iter()
        .map(|value| value.is_finite().then_some(value))
        .collect())
}

/// The estimated radius R of [`ascend`] for sigma of shape (B) and psi of shape (B, classes), in
/// double precision. [`search::radius`] is the form for plain numbers.
pub fn estimated_radius(sigma: &Tensor, psi: &Tensor, clamp: f64) -> Result<Tensor, TchError> {
    let (top, _) = psi.f_topk(2, -1, true, true)?;
    sigma.f_mul(&quantile_gap(&top, clamp)?)?.f_mul_scalar(0.5)
}

/// Returns the difference q(p_1) - q(p_2) for each row of `top`, of shape (B, 2).
///
/// A row has the two largest probabilities of an input, p_1 and p_2. They are clamped to \[clamp, 1
/// - clamp\]; q is the standard normal quantile. The result is differentiable.
pub(crate) fn quantile_gap(top: &Tensor, clamp: f64) -> Result<Tensor, TchError> {
    let quantiles = top.f_clamp(clamp, 1.0 - clamp)?.f_special_ndtri()?;
    quantiles.f_select(1, 0)?.f_sub(&quantiles.f_select(1, 1)?)
}

#[cfg(test)]
mod tests;
