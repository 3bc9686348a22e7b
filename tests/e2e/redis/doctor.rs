//! `doctor` against servers that are set up wrongly: what is wrong, and what to change.

use std::time::{Duration, Instant};

use super::server::{TestServer, ask, coordinator, free_port, small};

/// Half of the time for which other commands ask again.
const AT_ONCE: Duration = Duration::from_secs(30);

/// The line of a check, for a server with these options.
fn line(options: &[&str], setup: &[&str], subject: &str, code: i32) -> String {
    let dir = small();
    let server = TestServer::start(&dir.path("server"), options);
    let mut connection = server.connection("");
    for step in setup {
        let _: redis::Value = ask(&mut connection, step).unwrap();
    }
    let told = coordinator(&dir, &["doctor"], &[("DDRS_REDIS", &server.url())]).expect(code);
    let found = told
        .stdout
        .lines()
        .find(|line| line.split_whitespace().nth(1) == Some(subject));
    found
        .unwrap_or_else(|| panic!("{}", told.stdout))
        .to_owned()
}

fn assert_says(line: &str, verdict: &str, words: &str) {
    assert!(line.starts_with(verdict) && line.contains(words), "{line}");
}

#[test]
fn a_server_that_forgets_is_told_how_to_remember() {
    assert_says(
        &line(&["--appendonly", "no"], &[], "persistence", 0),
        "warning",
        "appendonly yes",
    );
    assert_says(
        &line(&["--appendfsync", "no"], &[], "persistence", 0),
        "warning",
        "appendfsync everysec",
    );
    assert_says(&line(&[], &[], "persistence", 0), "ok", "append-only file");
}

#[test]
fn a_server_that_evicts_is_told_what_to_set() {
    assert_says(
        &line(&["--maxmemory-policy", "allkeys-lru"], &[], "redis", 2),
        "bad",
        "maxmemory-policy noeviction",
    );
    let limited = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    assert_says(
        &line(&limited, &[], "memory", 2),
        "bad",
        "allkeys-lru removes jobs",
    );
    assert_says(
        &line(&["--maxmemory", "100mb"], &[], "memory", 0),
        "ok",
        "noeviction",
    );
}

#[test]
fn a_server_whose_snapshots_could_stop_it_is_told_to_make_none() {
    let on = ["--save", "3600 1"];
    assert_says(
        &line(&on, &[], "snapshots", 0),
        "warning",
        "`save 3600 1`): one that fails stops all writes",
    );
    let harmless = [&on[..], &["--stop-writes-on-bgsave-error", "no"]].concat();
    assert_says(
        &line(&harmless, &[], "snapshots", 0),
        "ok",
        "does not stop writes",
    );
    assert_says(&line(&[], &[], "snapshots", 0), "ok", "off");
}

/// Refusals that may pass, which everything but `doctor` waits for.
#[test]
fn a_server_that_refuses_for_now_is_reported_at_once() {
    for (setup, refusal) in [
        ("CONFIG SET maxmemory 1", "OOM"),
        ("REPLICAOF 127.0.0.1 1", "promote it"),
    ] {
        let start = Instant::now();
        let line = line(&[], &[setup], "requests", 2);
        assert!(start.elapsed() < AT_ONCE, "{refusal} was waited for");
        assert_says(&line, "bad", refusal);
        assert!(!line.contains("users.acl"), "{line}");
    }
}

#[test]
fn the_clocks_of_one_machine_agree() {
    assert_says(&line(&[], &[], "clock", 0), "ok", "agrees");
}

#[test]
fn a_cluster_with_holes_is_found() {
    let dir = small();
    let bus = free_port().to_string();
    let options = ["--cluster-enabled", "yes", "--cluster-port", &bus];
    let server = TestServer::start(&dir.path("server"), &options);
    let _: () = ask(&mut server.connection(""), "CLUSTER ADDSLOTSRANGE 0 9").unwrap();
    let start = Instant::now();
    let told = coordinator(&dir, &["doctor"], &[("DDRS_REDIS", &server.url())]).expect(2);
    assert!(start.elapsed() < AT_ONCE, "it was waited for");
    assert!(
        told.stdout.contains("redis-cli --cluster check"),
        "{}",
        told.stdout
    );
    assert!(
        told.stdout.contains("bad") && told.stdout.to_lowercase().contains("cluster"),
        "{}",
        told.stdout
    );
}
