//! `[certify]`.

use super::section::Section;
use crate::domain::Alpha;
use crate::spec::raw::{RawCertify, RawStopping};
use crate::spec::{CertifySpec, SpecError, Stopping};
use crate::stats::{can_certify, least_draws};

const MAX_DRAWS: i64 = 1_000_000_000;
/// Below it a part of alpha would not be a normal double any more.
const LEAST_ALPHA: f64 = 1e-300;

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
    if !can_certify(n.get(), spent) {
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
        } => Ok(Stopping::Radii(within.radii("radii", &radii)?)),
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
