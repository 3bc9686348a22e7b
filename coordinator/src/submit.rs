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
    let sweep = &prepared.message.id;
    let settings = &prepared.sweep.queue;
    let plan = &prepared.plan;
    let submission = Submission {
        spec: &prepared.message.to_json(),
        jobs: plan.jobs(),
        samples: plan.samples(),
        variants: plan.slots() / plan.samples(),
        job_samples: settings.job_samples.get(),
        lease: settings.lease,
        max_attempts: settings.max_attempts,
    };
    match queue.submitter().submit(&submission).await? {
        Submitted::Created => info!(%sweep, jobs = plan.jobs(), "submitted"),
        Submitted::Existing { .. } => info!(%sweep, "already submitted; its jobs stay as they are"),
    }
    Ok(())
}
