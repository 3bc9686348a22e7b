//! `[certify]`.

use std::num::NonZeroU64;

use super::section::Section;
use crate::domain::{Alpha, Radius};
use crate::spec::raw::{RawCertify, RawStopping};
use crate::spec::{CertifySpec, SpecError, Stopping};

const MAX_DRAWS: i64 = 1_000_000_000;
/// Below it a part of alpha would not be a normal double any more.
const LEAST_ALPHA: f64 = 1e-300;
/// As many as a table takes.
pub(super) const MOST_RADII: usize = 10_000;

pub(super) fn certify(at: &Section, raw: RawCertify) -> Result<CertifySpec, SpecError> {
    let n0 = at.positive("n0", at.required("n0", raw.n0)?, MAX_DRAWS)?;
    let n = at.positive("n", at.required("n", raw.n)?, MAX_DRAWS)?;
    let alpha = at.unit("alpha", Alpha::new(at.required("alpha", raw.alpha)?))?;
    let stopping = stopping(at, raw.stopping)?;
    if stopping != Stopping::Fixed && alpha.get() < LEAST_ALPHA {
        return Err(at.error(
            "alpha",
            format!("must be at least {LEAST_ALPHA:e} under this stopping rule, not {alpha}"),
        ));
    }
    let spent = stopping.alpha_at_n(alpha);
    if !can_certify(n, spent) {
        return Err(at.error(
            "n",
            format!(
                "{n} draws can never certify at alpha {alpha}; at least {} are needed",
                least_draws(spent)
            ),
        ));
    }
    let chunk = at.positive("chunk", raw.chunk, 100_000)?;
    Ok(CertifySpec {
        n0,
        n,
        alpha,
        chunk,
        memory: raw.memory,
        stopping,
    })
}

fn stopping(at: &Section, raw: RawStopping) -> Result<Stopping, SpecError> {
    let within = at.table("stopping");
    match raw {
        RawStopping::Fixed => Ok(Stopping::Fixed),
        RawStopping::Rule {
            radii: Some(radii),
            loss: None,
        } => {
            ascending(&within, "radii", &radii)?;
            let units = radii
                .into_iter()
                .map(|radius| within.unit("radii", Radius::new(radius)));
            Ok(Stopping::Radii(units.collect::<Result<_, _>>()?))
        }
        RawStopping::Rule {
            radii: None,
            loss: Some(loss),
        } => {
            let demand = "strictly between 0 and 1";
            Ok(Stopping::Loss(within.number(
                "loss",
                loss,
                loss > 0.0 && loss < 1.0,
                demand,
            )?))
        }
        RawStopping::Rule { .. } => Err(at.error("stopping", "must have one key, radii or loss")),
    }
}

/// Radii as a table has them.
pub(super) fn ascending(at: &Section, key: &str, radii: &[f64]) -> Result<(), SpecError> {
    at.not_empty(key, radii)?;
    if radii.len() > MOST_RADII {
        return Err(at.error(key, format!("at most {MOST_RADII}, not {}", radii.len())));
    }
    for (i, &radius) in radii.iter().enumerate() {
        let element = format!("{key}[{i}]");
        at.number(
            &element,
            radius,
            radius >= 0.0,
            "a finite number, 0 or more",
        )?;
        if i > 0 && radius <= radii[i - 1] {
            return Err(at.error(
                &element,
                format!("{radius} does not lie above {} before it", radii[i - 1]),
            ));
        }
    }
    Ok(())
}

/// Whether `n` draws that all agree bound the class's probability above 1/2: `alpha^(1/n) > 1/2`,
/// asked as `alpha > 2^-n`, which floating point answers exactly.
fn can_certify(n: NonZeroU64, alpha: Alpha) -> bool {
    // 2^-1100 is 0 in a double, below every alpha.
    0.5_f64.powi(n.get().min(1100) as i32) < alpha.get()
}

/// The least number of draws that [`can_certify`].
fn least_draws(alpha: Alpha) -> NonZeroU64 {
    let mut n = NonZeroU64::MIN;
    while !can_certify(n, alpha) {
        n = n.saturating_add(1);
    }
    n
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_least_number_of_draws_is_the_first_whose_power_is_above_one_half() {
        for (alpha, least) in [
            (0.001, 10),
            (0.05, 5),
            (0.5, 2),
            (0.51, 1),
            (0.25, 3),
            (0.999, 1),
            (5e-324, 1075),
        ] {
            assert_eq!(
                least_draws(Alpha::new(alpha).unwrap()).get(),
                least,
                "{alpha}"
            );
        }
    }
}
