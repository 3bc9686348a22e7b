//! `doctor`: checks what a run needs, and says what to change. Every check is made, whatever the others say.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use ddrs_common::queue::{PrivateServer, QueueClient, QueueError, ServerInfo, ServerSettings};
use serde_json::json;

use crate::cli::OutputFormat;
use crate::exit::{BadInput, Exit};
use crate::prepare::prepare;
use crate::report::plain;
use crate::run::worker_program;
use ddrs_common::output::{print, print_json};

/// Seconds between two clocks that need no mention.
const CLOCK_TOLERANCE: f64 = 5.0;

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
        Self { subject, verdict, text: text.into() }
    }
}

/// Checks Redis, the worker program, and if there is one the specification with its data and models.
///
/// # Errors
/// [`BadInput`] when a check found something that will not work.
pub async fn doctor(spec: Option<&Path>, redis: Option<&ServerSettings>, format: OutputFormat) -> Result<Exit> {
    let mut findings = match redis {
        Some(settings) => server(settings).await,
        None => private_server().await,
    };
    findings.push(worker());
    findings.extend(spec.map(sweep));
    match format {
        OutputFormat::Text => print(&findings.iter().map(text).collect::<String>())?,
        OutputFormat::Json => print_json(&findings.iter().map(json).collect())?,
    }
    let bad = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
    if bad > 0 { Err(BadInput::new(format!("{bad} checks failed")).into()) } else { Ok(Exit::Complete) }
}

async fn server(settings: &ServerSettings) -> Vec<Finding> {
    let bad = |error: QueueError| vec![Finding::new("redis", Verdict::Bad, error.to_string())];
    let client = match QueueClient::reach(settings).await {
        Ok(client) => client,
        Err(error) => return bad(error),
    };
    let mut findings = match client.servers().await {
        Ok(servers) => servers.iter().flat_map(|(address, info)| judge(address, info)).collect(),
        Err(error) => bad(error),
    };
    findings.push(permissions(&client).await);
    findings.push(clock(&client).await);
    findings
}

/// Whether this user may do all that a queue needs: a small sweep of no consequence is submitted, worked on and deleted.
async fn permissions(client: &QueueClient) -> Finding {
    match client.rehearse().await {
        Ok(()) => Finding::new("permissions", Verdict::Good, "a sweep can be submitted, worked on and deleted"),
        Err(error) => {
            let advice = "the access list that comes with ddrs, deploy/redis/users.acl, allows what is needed";
            Finding::new("permissions", Verdict::Bad, format!("{error}; {advice}"))
        }
    }
}

/// Leases go by the server's clock alone; it is only what `status` and `why` show that would be off.
async fn clock(client: &QueueClient) -> Finding {
    let here = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |past| past.as_secs_f64());
    match client.time().await {
        Err(error) => Finding::new("clock", Verdict::Bad, error.to_string()),
        Ok(there) if (there - here).abs() < CLOCK_TOLERANCE => {
            Finding::new("clock", Verdict::Good, "agrees with this machine's")
        }
        Ok(there) => {
            let apart = there - here;
            let text = format!("{apart:+.0} s from this machine's; leases are safe, times shown are off: check NTP");
            Finding::new("clock", Verdict::Warning, text)
        }
    }
}

/// What a server's settings mean for a queue.
fn judge(address: &str, info: &ServerInfo) -> Vec<Finding> {
    let kind = if info.valkey { "valkey" } else { "redis" };
    let suitable = match info.check() {
        Ok(()) => Finding::new(
            "redis",
            Verdict::Good,
            format!("{kind} {}{} at {address}", info.version, if info.cluster { ", of a cluster," } else { "" }),
        ),
        Err(reason) => Finding::new("redis", Verdict::Bad, format!("{address}: {reason}")),
    };
    let persistence = match (info.aof_enabled, info.appendfsync.as_deref()) {
        (false, _) => Finding::new(
            "persistence",
            Verdict::Warning,
            "there is no append-only file: a restart loses the queue; set `appendonly yes`",
        ),
        (true, Some("no")) => Finding::new(
            "persistence",
            Verdict::Warning,
            "the append-only file is never synced: a power cut loses minutes; set `appendfsync everysec`",
        ),
        (true, when) => Finding::new(
            "persistence",
            Verdict::Good,
            format!("append-only file, synced {}", when.unwrap_or("as the server decides")),
        ),
    };
    let memory = match info.maxmemory {
        None => Finding::new("memory", Verdict::Good, "no limit"),
        Some(bytes) => {
            Finding::new("memory", Verdict::Good, format!("at most {} MiB, {}", bytes >> 20, info.maxmemory_policy))
        }
    };
    vec![suitable, persistence, memory]
}

/// The server that `run` would start: started here, in a folder that is gone afterwards.
async fn private_server() -> Vec<Finding> {
    let dir = std::env::temp_dir().join(format!("ddrs-doctor-{}", std::process::id()));
    let started = PrivateServer::start(&dir).await;
    let findings = match &started {
        Ok(server) => server_of(server).await,
        Err(error) => vec![Finding::new("redis", Verdict::Bad, error.to_string())],
    };
    if let Ok(server) = started {
        server.stop().await.ok();
    }
    std::fs::remove_dir_all(&dir).ok();
    findings
}

async fn server_of(private: &PrivateServer) -> Vec<Finding> {
    server(&ServerSettings { url: private.url(), ..ServerSettings::default() }).await
}

fn worker() -> Finding {
    match worker_program() {
        Ok(path) => Finding::new("worker", Verdict::Good, path.display().to_string()),
        Err(error) => Finding::new("worker", Verdict::Warning, format!("{error:#} (only `run` needs it here)")),
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
    format!("{:<7} {:<13} {}\n", word(finding.verdict), finding.subject, plain(&finding.text))
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
