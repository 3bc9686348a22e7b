//! `doctor`: checks what a run needs, and says what to change. A failed check does not prevent the
//! others.

mod private;
mod server;

use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use ddrs_common::cli::{BadInput, ExitCode, OutputFormat};
use ddrs_common::output::{print, print_json};
use ddrs_common::queue::ServerSettings;
use ddrs_common::terminal::plain;
use serde_json::json;

use crate::prepare::{Prepared, prepare};
use crate::stop::{StopRequests, spawn_blocking};
use crate::worker_program::{self, WORKER_VARIABLE};

/// The result of one check.
struct Finding {
    subject: &'static str,
    status: CheckStatus,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CheckStatus {
    Good,
    /// It works, but something will be lost or slow.
    Warning,
    /// It will not work.
    Bad,
}

/// Checks Redis, the worker program, and the specification with its data and models, if there is
/// one.
///
/// # Errors
/// [`BadInput`] when a check failed.
pub(crate) async fn doctor(
    spec: Option<&Path>,
    redis: Option<&ServerSettings>,
    format: OutputFormat,
) -> Result<ExitCode> {
    let mut stop = StopRequests::listen().context("cannot listen for signals")?;
    let Some(findings) = check_all(spec, redis, &mut stop).await? else {
        return Ok(ExitCode::Interrupted);
    };
    print_findings(&findings, format)?;
    exit_code(&findings)
}

fn print_findings(findings: &[Finding], format: OutputFormat) -> io::Result<()> {
    let findings = findings.iter();
    match format {
        OutputFormat::Text => print(&findings.map(Finding::line).collect::<String>()),
        OutputFormat::Json => print_json(&findings.map(Finding::json).collect()),
    }
}

/// Returns all findings, or `None` if a request to stop arrived.
async fn check_all(
    spec: Option<&Path>,
    redis: Option<&ServerSettings>,
    stop: &mut StopRequests,
) -> Result<Option<Vec<Finding>>> {
    let Some(mut findings) = check_redis(redis, stop).await else {
        return Ok(None);
    };
    findings.push(check_worker());
    if let Some(spec) = spec.map(Path::to_owned) {
        let checked = stop.unless(spawn_blocking(move || Ok(check_specification(&spec))));
        let Some(checked) = checked.await else {
            return Ok(None);
        };
        findings.extend(checked?);
    }
    Ok(Some(findings))
}

async fn check_redis(
    redis: Option<&ServerSettings>,
    stop: &mut StopRequests,
) -> Option<Vec<Finding>> {
    match redis {
        Some(settings) => stop.unless(server::check(settings)).await,
        None => private::check(stop).await,
    }
}

fn exit_code(findings: &[Finding]) -> Result<ExitCode> {
    match findings.iter().filter(|finding| finding.is_bad()).count() {
        0 => Ok(ExitCode::Complete),
        1 => Err(BadInput::new("1 check failed").into()),
        bad => Err(BadInput::new(format!("{bad} checks failed")).into()),
    }
}

fn check_worker() -> Finding {
    match worker_program::find() {
        Ok(path) => Finding::good("worker", path.display().to_string()),
        // The user named a program, so it is needed.
        Err(error) if std::env::var_os(WORKER_VARIABLE).is_some() => {
            Finding::bad("worker", format!("{error:#}"))
        }
        Err(error) => Finding::warning("worker", format!("{error:#} (only `run` needs it here)")),
    }
}

fn check_specification(spec: &Path) -> Vec<Finding> {
    match prepare(spec, None) {
        Ok(prepared) => {
            let notes = prepared.notes.iter();
            let notes = notes.map(|note| Finding::warning("data", note.as_str()));
            let summary = Finding::good("specification", summary(&prepared));
            notes.chain([summary]).collect()
        }
        Err(error) => vec![Finding::bad("specification", format!("{error:#}"))],
    }
}

fn summary(prepared: &Prepared) -> String {
    format!(
        "sweep {}: {} samples over all variants, {} jobs; data and models fit",
        prepared.message.id,
        prepared.plan.slots(),
        prepared.plan.jobs()
    )
}

impl Finding {
    fn new(subject: &'static str, status: CheckStatus, text: impl Into<String>) -> Self {
        Self {
            subject,
            status,
            text: text.into(),
        }
    }

    fn good(subject: &'static str, text: impl Into<String>) -> Self {
        Self::new(subject, CheckStatus::Good, text)
    }

    fn warning(subject: &'static str, text: impl Into<String>) -> Self {
        Self::new(subject, CheckStatus::Warning, text)
    }

    fn bad(subject: &'static str, text: impl Into<String>) -> Self {
        Self::new(subject, CheckStatus::Bad, text)
    }

    fn is_bad(&self) -> bool {
        self.status == CheckStatus::Bad
    }

    fn line(&self) -> String {
        format!(
            "{:<7} {:<13} {}\n",
            self.status.word(),
            self.subject,
            plain(&self.text)
        )
    }

    fn json(&self) -> serde_json::Value {
        json!({"check": self.subject, "verdict": self.status.word(), "text": self.text})
    }
}

impl CheckStatus {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}
