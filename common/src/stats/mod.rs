//! The bounds that certificates rest on. Each is rounded so that a certificate claims less than it
//! could, never more.
//!
//! In reading order:
//! - [`lower_bound`]: a lower bound on a class's probability, from its count (Clopper & Pearson
//!   1934)
//! - [`sequence_bound`]: the same at all numbers of draws at once, for stopping early, and
//!   [`out_of_reach`] for giving up
//! - [`quantile_lower`]: the standard normal quantile of that probability
//! - [`radius`]: the certified radius that follows (Cohen et al. 2019, Theorem 1)
//!
//! `binomial_tail` evaluates the tail that defines the bound, with a bound on its own error (Loader
//! 2000). Each function first finds a candidate, then checks it against the inequality that defines
//! the result. The check counts every rounding error against the result, so soundness does not
//! depend on how the candidate was found. The checks assume that `exp`, `ln` and `sqrt` are within
//! two units in the last place.

mod argmax;
mod binomial_tail;
mod bisect;
mod clopper_pearson;
mod normal;
mod radius;
mod sequence;

#[cfg(test)]
mod decimal;

pub use argmax::argmax;
pub(crate) use bisect::first;
pub use clopper_pearson::{
    can_certify, complement_above, complement_below, least_count, least_draws, lower_bound,
    upper_bound,
};
pub use normal::{quantile_lower, signed_quantile_lower};
pub use radius::{mean_radius, probability_at, radius};
pub use sequence::{out_of_reach, sequence_bound};

/// The largest relative error of one rounded operation, 2^-53.
const UNIT_ROUNDOFF: f64 = f64::EPSILON / 2.0;
