//! Checks `[certify]`.

use std::num::NonZeroU64;

use super::section::Section;
use crate::domain::Alpha;
use crate::spec::raw::{RawCertify, RawStopping};
use crate::spec::{CertifySpec, SpecError, Stopping};
use crate::stats::{can_certify, least_draws};

const MAX_DRAWS: i64 = 1_000_000_000;
/// Below this value a part of alpha would not be a normal double.
const LEAST_ALPHA: f64 = 1e-300;

pub(super) fn certify(at: &Section, raw: RawCertify) -> Result<CertifySpec, SpecError> {
    let n0 = at.positive("n0", at.required("n0", raw.n0)?, MAX_DRAWS)?;
    let n = at.positive("n", at.required("n", raw.n)?, MAX_DRAWS)?;
    let alpha = at.unit("alpha", Alpha::new(at.required("alpha", raw.alpha)?))?;
    let stopping = stopping(at, raw.stopping)?;
    check_alpha(at, alpha, &stopping)?;
    check_draws(at, n, alpha, &stopping)?;
    Ok(CertifySpec {
        n0,
        n,
        alpha,
        chunk: at.positive("chunk", raw.chunk, 100_000)?,
        memory: raw.memory,
        stopping,
    })
}

fn check_alpha(at: &Section, alpha: Alpha, stopping: &Stopping) -> Result<(), SpecError> {
    if *stopping == Stopping::Fixed || alpha.get() >= LEAST_ALPHA {
        return Ok(());
    }
    let message = format!("must be at least {LEAST_ALPHA:e} under this stopping rule, not {alpha}");
    Err(at.error("alpha", message))
}

/// Refuses numbers of draws that cannot certify, whatever the counts are.
fn check_draws(
    at: &Section,
    n: NonZeroU64,
    alpha: Alpha,
    stopping: &Stopping,
) -> Result<(), SpecError> {
    let spent = stopping.alpha_at_n(alpha);
    if can_certify(n.get(), spent) {
        return Ok(());
    }
    let least = least_draws(spent);
    let message =
        format!("{n} draws can never certify at alpha {alpha}; at least {least} are needed");
    Err(at.error("n", message))
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
        } => Ok(Stopping::Loss(within.share("loss", loss)?)),
        RawStopping::Rule { .. } => Err(at.error("stopping", "must have one key, radii or loss")),
    }
}
