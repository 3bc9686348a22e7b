//! Checks `[certify]`.

use std::num::NonZeroU64;

use super::section::SpecTable;
use crate::domain::{Alpha, Choice};
use crate::spec::raw::{RawBound, RawCertify, RawStopping, Required};
use crate::spec::{BoundRule, CertifySpec, SmoothingSpec, SpecError, Stopping};
use crate::stats::{can_certify, least_draws};

const MAX_DRAWS: i64 = 1_000_000_000;

pub(super) fn certify(at: &SpecTable, raw: RawCertify) -> Result<CertifySpec, SpecError> {
    let n0 = draws(at, "n0", raw.n0)?;
    let n = draws(at, "n", raw.n)?;
    let alpha = alpha(at, raw.alpha)?;
    let stopping = stopping(at, raw.stopping)?;
    check_draws(at, n, alpha, &stopping)?;
    Ok(CertifySpec {
        n0,
        n,
        alpha,
        chunk: at.positive("chunk", raw.chunk, 100_000)?,
        memory: raw.memory,
        stopping,
        bound: bound(raw.bound),
    })
}

/// Refuses numbers of draws that cannot certify at the part of alpha of a selector.
pub(super) fn check_selected(
    at: &SpecTable,
    spec: &CertifySpec,
    smoothing: &SmoothingSpec,
) -> Result<(), SpecError> {
    let is_used = smoothing.choice.contains(&Choice::Selected);
    let Some(selected) = smoothing.selected.as_ref().filter(|_| is_used) else {
        return Ok(());
    };
    if spec.bound == BoundRule::TwoClass {
        let message = "two-class is not available where a level is selected; use one-class";
        return Err(at.error("bound", message));
    }
    let spent = spec
        .stopping
        .alpha_at_n(selected.alpha_of_selector(spec.alpha));
    if can_certify(spec.n.get(), spent) {
        return Ok(());
    }
    let least = least_draws(spent);
    let message = format!(
        "{} draws can never certify at the part {spent} of alpha that a selector has; at least \
         {least} are needed",
        spec.n
    );
    Err(at.error("n", message))
}

fn draws(at: &SpecTable, key: &str, raw: Required<i64>) -> Result<NonZeroU64, SpecError> {
    at.positive(key, at.required(key, raw)?, MAX_DRAWS)
}

fn alpha(at: &SpecTable, raw: Required<f64>) -> Result<Alpha, SpecError> {
    let alpha = at.unit("alpha", Alpha::new(at.required("alpha", raw)?))?;
    if alpha >= Alpha::LEAST {
        return Ok(alpha);
    }
    let least = Alpha::LEAST.get();
    let message = format!("must be at least {least:e}, not {:e}", alpha.get());
    Err(at.error("alpha", message))
}

fn bound(raw: RawBound) -> BoundRule {
    match raw {
        RawBound::OneClass => BoundRule::OneClass,
        RawBound::TwoClass => BoundRule::TwoClass,
    }
}

/// Refuses numbers of draws that cannot certify, whatever the counts are.
fn check_draws(
    at: &SpecTable,
    n: NonZeroU64,
    alpha: Alpha,
    stopping: &Stopping,
) -> Result<(), SpecError> {
    let spent = stopping.alpha_at_n(alpha);
    if can_certify(n.get(), spent) {
        return Ok(());
    }
    Err(at.error("n", too_few_draws(n, alpha, least_draws(spent))))
}

fn too_few_draws(n: NonZeroU64, alpha: Alpha, least: u64) -> String {
    format!("{n} draws can never certify at alpha {alpha}; at least {least} are needed")
}

fn stopping(at: &SpecTable, raw: RawStopping) -> Result<Stopping, SpecError> {
    match raw {
        RawStopping::Fixed => Ok(Stopping::Fixed),
        RawStopping::Rule { radii, loss } => stopping_rule(at, radii.as_deref(), loss),
    }
}

fn stopping_rule(
    at: &SpecTable,
    radii: Option<&[f64]>,
    loss: Option<f64>,
) -> Result<Stopping, SpecError> {
    let within = at.table("stopping");
    match (radii, loss) {
        (Some(radii), None) => within.radii("radii", radii).map(Stopping::Radii),
        (None, Some(loss)) => within.share("loss", loss).map(Stopping::Loss),
        _ => Err(at.error("stopping", "must have one key, radii or loss")),
    }
}
