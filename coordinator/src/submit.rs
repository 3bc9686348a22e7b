//! Submission: puts a sweep's jobs into Redis.

use anyhow::Result;
use ddrs_common::queue::{Submission, Submitted, SweepQueue};
use tracing::info;

use crate::prepare::Prepared;

/// Puts a sweep's jobs into Redis, unless they are there already.
///
/// # Errors
/// When Redis fails.
pub(crate) async fn submit(queue: &SweepQueue, prepared: &Prepared) -> Result<()> {
    let spec = prepared.message.to_json();
    let submission = submission(prepared, &spec);
    let submitted = queue.submitter().submit(&submission).await?;
    log_submitted(submitted, prepared);
    Ok(())
}

fn submission<'a>(prepared: &Prepared, spec: &'a str) -> Submission<'a> {
    let settings = &prepared.sweep.queue;
    let plan = &prepared.plan;
    Submission {
        spec,
        jobs: plan.jobs(),
        samples: plan.samples(),
        variants: plan.slots() / plan.samples(),
        job_samples: settings.job_samples.get(),
        lease: settings.lease,
        max_attempts: settings.max_attempts,
    }
}

fn log_submitted(submitted: Submitted, prepared: &Prepared) {
    let sweep = &prepared.message.id;
    match submitted {
        Submitted::Created => info!(%sweep, jobs = prepared.plan.jobs(), "submitted"),
        Submitted::Existing { .. } => info!(%sweep, "already submitted; its jobs stay as they are"),
    }
}
