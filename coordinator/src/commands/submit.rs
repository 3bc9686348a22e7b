//! `submit`: plans a sweep and puts its jobs into Redis.

use std::path::Path;

use anyhow::Result;
use ddrs_common::queue::{QueueClient, ServerSettings};

use crate::prepare::prepare;
use ddrs_common::cli::ExitCode;
use ddrs_common::output::print;

/// Submits the specification at `path` and prints the sweep's id.
///
/// # Errors
/// When the specification or anything it names cannot be used, or Redis fails.
pub(crate) async fn submit(path: &Path, server: &ServerSettings) -> Result<ExitCode> {
    let prepared = prepare(path, None)?;
    prepared.log_notes();
    let queue = QueueClient::connect(server)
        .await?
        .sweep(&prepared.message.id);
    crate::submit::submit(&queue, &prepared).await?;
    print(&format!("{}\n", prepared.message.id))?;
    Ok(ExitCode::Complete)
}
