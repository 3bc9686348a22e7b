//! `doctor`: checks what a run needs, and says what to change. Every check is made, whatever the
//! others say.

mod server;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::{Context, Result};
use ddrs_common::queue::{ClaimToken, PrivateServer, ServerSettings};
use serde_json::json;

use crate::prepare::prepare;
use crate::stop::{StopRequests, spawn_blocking};
use crate::worker_program::{self, WORKER_VARIABLE};
use ddrs_common::cli::OutputFormat;
use ddrs_common::cli::{BadInput, ExitCode};
use ddrs_common::output::{print, print_json};
use ddrs_common::terminal::plain;

/// What a check came to.
struct Finding {
    subject: &'static str,
    verdict: Verdict,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It works, but something will be lost or slow.
    Warning,
    /// It will not work.
    Bad,
}

impl Finding {
    fn new(subject: &'static str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self {
            subject,
            verdict,
            text: text.into(),
        }
    }
}

/// Checks Redis, the worker program, and if there is one the specification with its data and
/// models.
///
/// # Errors
/// [`BadInput`] when a check found something that will not work.
pub async fn doctor(
    spec: Option<&Path>,
    redis: Option<&ServerSettings>,
    format: OutputFormat,
) -> Result<ExitCode> {
    let mut stop = StopRequests::listen().context("cannot listen for signals")?;
    let examined = match redis {
        Some(settings) => stop.unless(server::examine(settings)).await,
        None => private_server(&mut stop).await,
    };
    let Some(mut findings) = examined else {
        return Ok(ExitCode::Interrupted);
    };
    findings.push(worker());
    if let Some(spec) = spec.map(Path::to_owned) {
        let Some(found) = stop.unless(spawn_blocking(move || Ok(sweep(&spec)))).await else {
            return Ok(ExitCode::Interrupted);
        };
        findings.push(found?);
    }
    match format {
        OutputFormat::Text => print(&findings.iter().map(text).collect::<String>())?,
        OutputFormat::Json => print_json(&findings.iter().map(json).collect())?,
    }
    let bad = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Bad)
        .count();
    match bad {
        0 => Ok(ExitCode::Complete),
        1 => Err(BadInput::new("1 check failed").into()),
        _ => Err(BadInput::new(format!("{bad} checks failed")).into()),
    }
}

/// The server that `run` would start: started here, in a folder that is gone afterwards, also when
/// told to stop, which gives none. The folder's name cannot be foreseen and it must be new, for in
/// a common one somebody else could have put a link where Redis writes.
async fn private_server(stop: &mut StopRequests) -> Option<Vec<Finding>> {
    let dir = std::env::temp_dir().join(format!("ddrs-doctor-{}", ClaimToken::random()));
    if let Err(error) = DirBuilder::new().mode(0o700).create(&dir) {
        let text = format!("cannot create {}: {error}", dir.display());
        return Some(vec![Finding::new("redis", Verdict::Bad, text)]);
    }
    let findings = stop.unless(private_server_in(&dir)).await;
    // What remains of a folder for temporary files is the system's to remove.
    std::fs::remove_dir_all(&dir).ok();
    findings
}

/// May be dropped at any time: the server ends with it.
async fn private_server_in(dir: &Path) -> Vec<Finding> {
    let server = match PrivateServer::start(dir).await {
        Ok(server) => server,
        Err(error) => return vec![Finding::new("redis", Verdict::Bad, error.to_string())],
    };
    let findings = server::examine(&ServerSettings {
        url: server.url(),
        ..ServerSettings::default()
    })
    .await;
    // It keeps nothing that anybody needs.
    server.kill().ok();
    findings
}

fn worker() -> Finding {
    match worker_program::find() {
        Ok(path) => Finding::new("worker", Verdict::Good, path.display().to_string()),
        // Somebody wants that one.
        Err(error) if std::env::var_os(WORKER_VARIABLE).is_some() => {
            Finding::new("worker", Verdict::Bad, format!("{error:#}"))
        }
        Err(error) => Finding::new(
            "worker",
            Verdict::Warning,
            format!("{error:#} (only `run` needs it here)"),
        ),
    }
}

fn sweep(spec: &Path) -> Finding {
    match prepare(spec) {
        Ok(prepared) => {
            let (samples, jobs) = (prepared.plan.slots(), prepared.plan.jobs());
            let text = format!(
                "sweep {}: {samples} samples over all variants, {jobs} jobs; data and models fit",
                prepared.message.id
            );
            Finding::new("specification", Verdict::Good, text)
        }
        Err(error) => Finding::new("specification", Verdict::Bad, format!("{error:#}")),
    }
}

fn text(finding: &Finding) -> String {
    format!(
        "{:<7} {:<13} {}\n",
        word(finding.verdict),
        finding.subject,
        plain(&finding.text)
    )
}

fn json(finding: &Finding) -> serde_json::Value {
    json!({"check": finding.subject, "verdict": word(finding.verdict), "text": finding.text})
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "ok",
        Verdict::Warning => "warning",
        Verdict::Bad => "bad",
    }
}
