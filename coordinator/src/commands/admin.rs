//! `retry` and `cancel`.

use anyhow::Result;
use ddrs_common::domain::SweepId;
use ddrs_common::queue::ServerSettings;

use super::find;
use ddrs_common::cli::ExitCode;
use ddrs_common::output::print;

/// Puts the dead jobs of a sweep back into its queue.
///
/// # Errors
/// When the sweep is unknown or Redis fails.
pub(crate) async fn retry(sweep: &SweepId, server: &ServerSettings) -> Result<ExitCode> {
    let (queue, _) = find(server, sweep).await?;
    let retried = queue.admin().retry().await?;
    print(&format!("{retried} dead jobs are back in the queue\n"))?;
    Ok(ExitCode::Complete)
}

/// Stops handing out the jobs of a sweep. Jobs in progress may be completed.
///
/// # Errors
/// When the sweep is unknown or Redis fails.
pub(crate) async fn cancel(sweep: &SweepId, server: &ServerSettings) -> Result<ExitCode> {
    let (queue, _) = find(server, sweep).await?;
    queue.admin().cancel().await?;
    print(&format!(
        "sweep {sweep} hands out no more jobs; `submit` or `retry` resumes it\n"
    ))?;
    Ok(ExitCode::Complete)
}
