//! The commands other than `run`, one file per command. Each takes parsed arguments and returns the
//! exit code.

pub(crate) mod admin;
pub(crate) mod collect;
pub(crate) mod doctor;
pub(crate) mod report;
pub(crate) mod status;
pub(crate) mod submit;
pub(crate) mod why;

use anyhow::Result;
use ddrs_common::cli::{BadInput, BlameInput};
use ddrs_common::domain::SweepId;
use ddrs_common::queue::{QueueClient, ServerSettings, SweepQueue};
use ddrs_common::sweep_message::SweepMessage;

/// Connects to a sweep that is in Redis; returns its queue and the submitted specification.
pub(crate) async fn find(
    server: &ServerSettings,
    id: &SweepId,
) -> Result<(SweepQueue, SweepMessage)> {
    let queue = QueueClient::connect(server).await?.sweep(id);
    let message = message_of(&queue).await?;
    Ok((queue, message))
}

/// Returns the submitted specification of a sweep.
async fn message_of(queue: &SweepQueue) -> Result<SweepMessage> {
    let text = queue.spec().await?.ok_or_else(|| {
        BadInput::new(format!(
            "redis has no sweep {}; `status` lists the sweeps it has",
            queue.id()
        ))
    })?;
    Ok(SweepMessage::from_json(&text).blame_input()?)
}
