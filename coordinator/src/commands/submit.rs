//! `submit`: plans a sweep and puts its jobs into Redis.

use std::path::Path;

use anyhow::Result;
use ddrs_common::queue::{QueueClient, ServerSettings, Submission, Submitted, SweepQueue};
use tracing::info;

use crate::exit::Exit;
use crate::prepare::{Prepared, prepare};
use ddrs_common::output::print;

/// Submits the specification at `path` and prints the sweep's id.
///
/// # Errors
/// When the specification or anything it names cannot be used, or Redis fails.
pub async fn submit(path: &Path, server: &ServerSettings) -> Result<Exit> {
    let prepared = prepare(path)?;
    let queue = QueueClient::connect(server)
        .await?
        .sweep(&prepared.message.id);
    enqueue(&queue, &prepared).await?;
    print(&format!("{}\n", prepared.message.id))?;
    Ok(Exit::Complete)
}

/// Puts a sweep's jobs into Redis, or finds that they are there.
///
/// # Errors
/// When Redis fails.
pub async fn enqueue(queue: &SweepQueue, prepared: &Prepared) -> Result<()> {
    let settings = &prepared.sweep.queue;
    let submission = Submission {
        spec: &prepared.message.to_json(),
        jobs: prepared.plan.jobs(),
        samples: prepared.plan.samples(),
        variants: prepared.plan.slots() / prepared.plan.samples(),
        job_samples: settings.job_samples.get(),
        lease: settings.lease,
        max_attempts: settings.max_attempts,
    };
    match queue.submit(&submission).await? {
        Submitted::Created => {
            info!(sweep = %prepared.message.id, jobs = prepared.plan.jobs(), "submitted")
        }
        Submitted::Existing { .. } => {
            info!(sweep = %prepared.message.id, "already submitted; its jobs stay as they were");
        }
    }
    Ok(())
}
