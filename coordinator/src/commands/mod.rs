//! The commands other than `run`, one file each. Every one takes parsed arguments and says how it
//! ended.

pub mod admin;
pub mod collect;
pub mod doctor;
pub mod report;
pub mod status;
pub mod submit;
pub mod why;

use anyhow::Result;
use ddrs_common::domain::SweepId;
use ddrs_common::queue::{QueueClient, ServerSettings, SweepQueue};
use ddrs_common::sweep_message::SweepMessage;

use ddrs_common::cli::{BadInput, BlameInput};

/// A sweep that is in Redis: its queue and what was submitted.
pub(crate) async fn find(
    server: &ServerSettings,
    id: &SweepId,
) -> Result<(SweepQueue, SweepMessage)> {
    let queue = QueueClient::connect(server).await?.sweep(id);
    let message = message_of(&queue).await?;
    Ok((queue, message))
}

/// What was submitted.
async fn message_of(queue: &SweepQueue) -> Result<SweepMessage> {
    let Some(text) = queue.spec().await? else {
        return Err(BadInput::new(format!(
            "redis has no sweep {}; `status` lists those it has",
            queue.id()
        ))
        .into());
    };
    Ok(SweepMessage::from_json(&text).blame_input()?)
}
