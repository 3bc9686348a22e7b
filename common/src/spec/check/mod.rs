//! From what is written to what is meant: every number in range, every name known, every path resolved.

mod dataset;
mod model;
mod section;
mod smoothing;

use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use super::document::Document;
use super::raw::{RawCertify, RawQueue, RawReport, RawSweep};
use super::{CertifySpec, QueueSpec, ReportSpec, SpecError, Sweep};
use crate::domain::Alpha;
pub(super) use dataset::dataset;
pub(super) use model::{normalisation, precision};
pub(super) use section::{Section, check_name};
pub(super) use smoothing::data_dependent;

/// Checks a whole specification. Relative paths are joined to `folder`.
pub(super) fn sweep(document: &Document, raw: RawSweep, folder: &Path) -> Result<Sweep, SpecError> {
    let root = Section::root(document);
    let name = root.required("name", raw.name)?;
    check_name(&root, "name", &name)?;
    let seed = root.required("seed", raw.seed)?;
    Ok(Sweep {
        name,
        seed: root.integer("seed", seed, 0, i64::MAX)?,
        dataset: dataset(&root.table("dataset"), raw.dataset, folder)?,
        models: model::models(&root, raw.model, folder)?,
        smoothing: smoothing::smoothing(&root.table("smoothing"), raw.smoothing)?,
        certify: certify(&root.table("certify"), raw.certify)?,
        queue: queue(&root.table("queue"), &raw.queue)?,
        report: report(&root.table("report"), raw.report)?,
    })
}

const MAX_DRAWS: i64 = 1_000_000_000;
/// As many as a table takes.
const MOST_RADII: usize = 10_000;

fn certify(at: &Section, raw: RawCertify) -> Result<CertifySpec, SpecError> {
    let n0 = at.positive("n0", at.required("n0", raw.n0)?, MAX_DRAWS)?;
    let n = at.positive("n", at.required("n", raw.n)?, MAX_DRAWS)?;
    let alpha = at.unit("alpha", Alpha::new(at.required("alpha", raw.alpha)?))?;
    if !can_certify(n, alpha) {
        return Err(at.error(
            "n",
            format!("{n} draws can never certify at alpha {alpha}; at least {} are needed", least_draws(alpha)),
        ));
    }
    Ok(CertifySpec { n0, n, alpha, chunk: at.positive("chunk", raw.chunk, 100_000)?, memory: raw.memory })
}

/// Whether `n` draws that all agree bound the class's probability above 1/2: `alpha^(1/n) > 1/2`, asked as
/// `alpha > 2^-n`, which floating point answers exactly.
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

fn queue(at: &Section, raw: &RawQueue) -> Result<QueueSpec, SpecError> {
    Ok(QueueSpec {
        job_samples: at.positive("job-samples", raw.job_samples, 10_000)?,
        lease: Duration::from_secs(at.integer("lease-seconds", raw.lease_seconds, 1, 86_400)?),
        max_attempts: at.integer("max-attempts", raw.max_attempts, 1, 1000)? as u32,
    })
}

fn report(at: &Section, raw: RawReport) -> Result<ReportSpec, SpecError> {
    at.not_empty("radii", &raw.radii)?;
    if raw.radii.len() > MOST_RADII {
        return Err(at.error("radii", format!("at most {MOST_RADII}, not {}", raw.radii.len())));
    }
    for (i, &radius) in raw.radii.iter().enumerate() {
        let key = format!("radii[{i}]");
        at.number(&key, radius, radius >= 0.0, "a finite number, 0 or more")?;
        if i > 0 && radius <= raw.radii[i - 1] {
            return Err(at.error(&key, format!("{radius} does not lie above {} before it", raw.radii[i - 1])));
        }
    }
    Ok(ReportSpec { radii: raw.radii })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_least_number_of_draws_is_the_first_whose_power_is_above_one_half() {
        for (alpha, least) in [(0.001, 10), (0.05, 5), (0.5, 2), (0.51, 1), (0.25, 3), (0.999, 1), (5e-324, 1075)] {
            assert_eq!(least_draws(Alpha::new(alpha).unwrap()).get(), least, "{alpha}");
        }
    }
}
