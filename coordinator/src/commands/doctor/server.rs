//! What a Redis is, how it is set, and whether it does what a queue needs. Nothing is asked twice:
//! a server that cannot answer now is one of the things to find out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ddrs_common::queue::{LastSnapshot, QueueClient, QueueError, ServerInfo, ServerSettings};

use super::{Finding, Verdict};

/// Seconds between two clocks that need no mention.
const CLOCK_TOLERANCE: f64 = 5.0;

/// Every finding about a server.
pub(super) async fn examine(settings: &ServerSettings) -> Vec<Finding> {
    let bad = |error: QueueError| vec![Finding::new("redis", Verdict::Bad, error.to_string())];
    let client = match QueueClient::reach(settings).await {
        Ok(client) => client.with_patience(Duration::ZERO),
        Err(error) => return bad(error),
    };
    let mut findings = match client.servers().await {
        Ok(servers) => servers
            .iter()
            .flat_map(|(address, info)| judge(address, info))
            .collect(),
        Err(error) => bad(error),
    };
    findings.extend(slots(&client).await);
    findings.push(requests(&client).await);
    findings.push(clock(&client).await);
    findings
}

/// Whether every sweep has a node, if this is a cluster: one may serve some keys and refuse others.
async fn slots(client: &QueueClient) -> Option<Finding> {
    Some(match client.unserved_slots().await {
        Ok(None) => return None,
        Ok(Some(0)) => Finding::new(
            "slots",
            Verdict::Good,
            "every hash slot of the cluster has a node",
        ),
        Ok(Some(unserved)) => {
            let text = format!(
                "{unserved} of the cluster's 16384 hash slots have no node, so that some sweeps cannot be submitted or \
                 worked on; `redis-cli --cluster check HOST:PORT` shows them, `redis-cli --cluster fix` mends them"
            );
            Finding::new("slots", Verdict::Bad, text)
        }
        Err(error) => Finding::new("slots", Verdict::Bad, error.to_string()),
    })
}

/// Whether all that a queue needs is done for this user: a small sweep of no consequence is
/// submitted, worked on and deleted.
async fn requests(client: &QueueClient) -> Finding {
    match client.rehearse().await {
        Ok(()) => Finding::new(
            "permissions",
            Verdict::Good,
            "a sweep can be submitted, worked on and deleted",
        ),
        Err(error) if error.is_forbidden() => {
            Finding::new("permissions", Verdict::Bad, error.to_string())
        }
        Err(error) => Finding::new(
            "requests",
            Verdict::Bad,
            format!("a sweep cannot be worked on now: {error}"),
        ),
    }
}

/// Leases go by the server's clock alone; it is only what `status` and `why` show that would be
/// off.
async fn clock(client: &QueueClient) -> Finding {
    let here = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |past| past.as_secs_f64());
    match client.time().await {
        Err(error) => Finding::new("clock", Verdict::Bad, error.to_string()),
        Ok(there) if (there - here).abs() < CLOCK_TOLERANCE => {
            Finding::new("clock", Verdict::Good, "agrees with this machine's")
        }
        Ok(there) => {
            let apart = there - here;
            let text = format!(
                "{apart:+.0} s from this machine's; leases are safe, times shown are off: check NTP"
            );
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
            format!(
                "{kind} {}{} at {address}",
                info.version,
                if info.cluster { ", of a cluster," } else { "" }
            ),
        ),
        Err(reason) => Finding::new("redis", Verdict::Bad, format!("{address}: {reason}")),
    };
    vec![suitable, persistence(info), snapshots(info), memory(info)]
}

fn persistence(info: &ServerInfo) -> Finding {
    let (verdict, text) = match (info.aof_enabled, info.settings.as_ref().map(|settings| settings.appendfsync.as_str()))
    {
        (false, _) => (
            Verdict::Warning,
            "there is no append-only file: a restart loses the queue; set `appendonly yes`".to_owned(),
        ),
        (true, Some("no")) => (
            Verdict::Warning,
            "the append-only file is never synced: a power cut loses minutes; set `appendfsync everysec`".to_owned(),
        ),
        (true, Some(when)) => (Verdict::Good, format!("append-only file, synced {when}")),
        (true, None) => (Verdict::Good, "append-only file; not permitted to read how often it is synced".to_owned()),
    };
    Finding::new("persistence", verdict, text)
}

/// Snapshots add nothing to an append-only file, and one that fails makes a server refuse to write.
fn snapshots(info: &ServerInfo) -> Finding {
    let advice = "set `save \"\"`, and rely on `appendonly yes`";
    let (verdict, text) = match &info.settings {
        _ if info.last_snapshot == LastSnapshot::Failed => (
            Verdict::Warning,
            format!(
                "the last one failed, which may stop all writes: look into its log, or {advice}"
            ),
        ),
        Some(settings) if !settings.save.is_empty() && settings.stops_writes => (
            Verdict::Warning,
            format!(
                "on (`save {}`): one that fails stops all writes; {advice}",
                settings.save
            ),
        ),
        Some(settings) if settings.save.is_empty() => (Verdict::Good, "off".to_owned()),
        Some(_) => (
            Verdict::Good,
            "on; one that fails does not stop writes".to_owned(),
        ),
        None => (
            Verdict::Good,
            "not permitted to read whether they are on".to_owned(),
        ),
    };
    Finding::new("snapshots", verdict, text)
}

fn memory(info: &ServerInfo) -> Finding {
    let limit = info.maxmemory.map_or("no limit".to_owned(), |bytes| {
        format!("at most {} MiB", bytes >> 20)
    });
    let policy = &info.maxmemory_policy;
    if info.evicts() {
        return Finding::new(
            "memory",
            Verdict::Bad,
            format!("{limit}, and {policy} removes jobs at a limit"),
        );
    }
    Finding::new("memory", Verdict::Good, format!("{limit}, {policy}"))
}
