//! Checks a Redis: its version and settings, and that it does what a queue needs. No request is
//! retried, because a server that cannot answer now is a finding.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ddrs_common::queue::{LastSnapshot, QueueClient, QueueError, ServerInfo, ServerSettings};

use super::Finding;

/// Seconds by which two clocks may differ without a warning.
const CLOCK_TOLERANCE: f64 = 5.0;

/// Returns every finding about a server.
pub(super) async fn check(settings: &ServerSettings) -> Vec<Finding> {
    let client = match QueueClient::reach(settings).await {
        Ok(client) => client.with_patience(Duration::ZERO),
        Err(error) => return vec![Finding::bad("redis", error.to_string())],
    };
    let mut findings = check_servers(&client).await;
    findings.extend(check_slots(&client).await);
    findings.push(check_requests(&client).await);
    findings.push(check_clock(&client).await);
    findings
}

async fn check_servers(client: &QueueClient) -> Vec<Finding> {
    match client.servers().await {
        Ok(servers) => check_each(&servers),
        Err(error) => vec![Finding::bad("redis", error.to_string())],
    }
}

fn check_each(servers: &[(String, ServerInfo)]) -> Vec<Finding> {
    let servers = servers.iter();
    servers
        .flat_map(|(address, info)| check_info(address, info))
        .collect()
}

/// Checks that every hash slot of a cluster has a node. A cluster without some nodes serves some
/// keys and refuses others.
async fn check_slots(client: &QueueClient) -> Option<Finding> {
    match client.unserved_slots().await {
        Ok(None) => None,
        Ok(Some(0)) => Some(Finding::good(
            "slots",
            "every hash slot of the cluster has a node",
        )),
        Ok(Some(unserved)) => Some(Finding::bad("slots", unserved_text(unserved))),
        Err(error) => Some(Finding::bad("slots", error.to_string())),
    }
}

fn unserved_text(unserved: u64) -> String {
    format!(
        "{unserved} of the cluster's 16384 hash slots have no node, so some sweeps cannot be \
         submitted or worked on; `redis-cli --cluster check HOST:PORT` shows them, \
         `redis-cli --cluster fix` repairs them"
    )
}

/// Checks that this user may do everything that a queue needs: submits a small test sweep, works on
/// it and deletes it.
async fn check_requests(client: &QueueClient) -> Finding {
    match client.self_test().await {
        Ok(()) => Finding::good(
            "permissions",
            "a sweep can be submitted, worked on and deleted",
        ),
        Err(error) => failed_request(&error),
    }
}

fn failed_request(error: &QueueError) -> Finding {
    if error.is_forbidden() {
        Finding::bad("permissions", error.to_string())
    } else {
        Finding::bad(
            "requests",
            format!("a sweep cannot be worked on now: {error}"),
        )
    }
}

/// Compares the server's clock with this machine's. Leases use only the server's clock; a
/// difference affects only the times that `status` and `why` show.
async fn check_clock(client: &QueueClient) -> Finding {
    match client.time().await {
        Ok(time) => clock_finding(time - seconds_since_epoch()),
        Err(error) => Finding::bad("clock", error.to_string()),
    }
}

fn clock_finding(difference: f64) -> Finding {
    if difference.abs() < CLOCK_TOLERANCE {
        return Finding::good("clock", "agrees with this machine's clock");
    }
    let text = format!(
        "differs by {difference:+.0} s from this machine's clock; leases are safe, but the times \
         shown are wrong: check NTP"
    );
    Finding::warning("clock", text)
}

fn seconds_since_epoch() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |past| past.as_secs_f64())
}

/// Checks the settings of one server.
fn check_info(address: &str, info: &ServerInfo) -> Vec<Finding> {
    vec![
        check_version(address, info),
        check_persistence(info),
        check_snapshots(info),
        check_memory(info),
    ]
}

fn check_version(address: &str, info: &ServerInfo) -> Finding {
    if let Err(reason) = info.check() {
        return Finding::bad("redis", format!("{address}: {reason}"));
    }
    Finding::good("redis", version_text(address, info))
}

fn version_text(address: &str, info: &ServerInfo) -> String {
    let kind = if info.valkey { "valkey" } else { "redis" };
    let cluster = if info.cluster { ", of a cluster," } else { "" };
    format!("{kind} {}{cluster} at {address}", info.version)
}

fn check_persistence(info: &ServerInfo) -> Finding {
    if !info.aof_enabled {
        return Finding::warning(
            "persistence",
            "no append-only file: a restart loses the queue; set `appendonly yes`",
        );
    }
    match info.settings.as_ref().map(|set| set.appendfsync.as_str()) {
        Some("no") => Finding::warning(
            "persistence",
            "the append-only file is never synced: a power failure loses minutes; \
             set `appendfsync everysec`",
        ),
        Some(when) => Finding::good("persistence", format!("append-only file, synced {when}")),
        None => Finding::good(
            "persistence",
            "append-only file; not permitted to read how often it is synced",
        ),
    }
}

/// Checks snapshots. They add nothing to an append-only file, and a failed one can make the server
/// refuse writes.
fn check_snapshots(info: &ServerInfo) -> Finding {
    if info.last_snapshot == LastSnapshot::Failed {
        let text = format!(
            "the last one failed, which may stop all writes: look into the server's log, or \
             {NO_SNAPSHOTS}"
        );
        return Finding::warning("snapshots", text);
    }
    let Some(set) = &info.settings else {
        return Finding::good("snapshots", "not permitted to read whether they are on");
    };
    check_snapshot_settings(&set.save, set.stops_writes)
}

fn check_snapshot_settings(save: &str, stops_writes: bool) -> Finding {
    if save.is_empty() {
        Finding::good("snapshots", "off")
    } else if stops_writes {
        let text = format!("on (`save {save}`): one that fails stops all writes; {NO_SNAPSHOTS}");
        Finding::warning("snapshots", text)
    } else {
        Finding::good("snapshots", "on; one that fails does not stop writes")
    }
}

const NO_SNAPSHOTS: &str = "set `save \"\"`, and rely on `appendonly yes`";

fn limit_text(bytes: Option<u64>) -> String {
    bytes.map_or_else(
        || "no limit".to_owned(),
        |bytes| format!("at most {} MiB", bytes >> 20),
    )
}

fn check_memory(info: &ServerInfo) -> Finding {
    let limit = limit_text(info.maxmemory);
    let policy = &info.maxmemory_policy;
    if info.evicts() {
        let text = format!("{limit}, and {policy} removes jobs when the limit is reached");
        Finding::bad("memory", text)
    } else {
        Finding::good("memory", format!("{limit}, {policy}"))
    }
}
