//! Checks a specification as written and converts it: every number in range, every name known,
//! every path resolved.

mod certify;
mod dataset;
mod model;
mod options;
mod section;
mod selected;
mod smoothing;

use std::path::Path;
use std::time::Duration;

use super::document::Document;
use super::raw::{RawQueue, RawReport, RawSweep};
use super::{MAX_JOB_SAMPLES, QueueSpec, ReportSpec, SpecError, Sweep};
pub(super) use dataset::dataset;
use model::ModelList;
pub(super) use model::{architecture, classes, normalisation, precision};
pub(super) use section::SpecTable;
pub(super) use smoothing::data_dependent;

/// Checks a whole specification. Relative paths are joined to `folder`.
pub(super) fn sweep(document: &Document, raw: RawSweep, folder: &Path) -> Result<Sweep, SpecError> {
    let root = SpecTable::root(document);
    let name = root.name(raw.name)?;
    let seed = root.seed(raw.seed)?;
    let dataset = dataset(&root.table("dataset"), raw.dataset, folder)?;
    let models = model::models(&root, raw.model, folder)?;
    let experts = ModelList::new(&models, folder);
    let at = root.table("smoothing");
    let smoothing = smoothing::smoothing(&at, raw.smoothing, &experts, folder)?;
    let certify = certify::certify(&root.table("certify"), raw.certify)?;
    certify::check_selected(&root.table("certify"), &certify, &smoothing)?;
    Ok(Sweep {
        name,
        seed,
        dataset,
        models,
        smoothing,
        certify,
        queue: queue(&root.table("queue"), &raw.queue)?,
        report: report(&root.table("report"), &raw.report)?,
    })
}

fn queue(at: &SpecTable, raw: &RawQueue) -> Result<QueueSpec, SpecError> {
    Ok(QueueSpec {
        job_samples: at.positive("job-samples", raw.job_samples, i64::from(MAX_JOB_SAMPLES))?,
        lease: lease(at, raw.lease_seconds)?,
        max_attempts: at.integer("max-attempts", raw.max_attempts, 1, 1000)? as u32,
    })
}

fn lease(at: &SpecTable, seconds: i64) -> Result<Duration, SpecError> {
    let seconds = at.integer("lease-seconds", seconds, 1, 86_400)?;
    Ok(Duration::from_secs(seconds))
}

fn report(at: &SpecTable, raw: &RawReport) -> Result<ReportSpec, SpecError> {
    Ok(ReportSpec {
        radii: at.radii("radii", &raw.radii)?,
    })
}
