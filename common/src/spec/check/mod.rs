//! Checks a specification as written and converts it: every number in range, every name known,
//! every path resolved.

mod certify;
mod dataset;
mod model;
mod section;
mod smoothing;

use std::path::Path;
use std::time::Duration;

use super::document::Document;
use super::raw::{RawQueue, RawReport, RawSweep};
use super::{MAX_JOB_SAMPLES, QueueSpec, ReportSpec, SpecError, Sweep};
pub(super) use dataset::dataset;
pub(super) use model::{classes, normalisation, precision};
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
        certify: certify::certify(&root.table("certify"), raw.certify)?,
        queue: queue(&root.table("queue"), &raw.queue)?,
        report: report(&root.table("report"), &raw.report)?,
    })
}

fn queue(at: &Section, raw: &RawQueue) -> Result<QueueSpec, SpecError> {
    Ok(QueueSpec {
        job_samples: at.positive("job-samples", raw.job_samples, i64::from(MAX_JOB_SAMPLES))?,
        lease: Duration::from_secs(at.integer("lease-seconds", raw.lease_seconds, 1, 86_400)?),
        max_attempts: at.integer("max-attempts", raw.max_attempts, 1, 1000)? as u32,
    })
}

fn report(at: &Section, raw: &RawReport) -> Result<ReportSpec, SpecError> {
    Ok(ReportSpec {
        radii: at.radii("radii", &raw.radii)?,
    })
}
