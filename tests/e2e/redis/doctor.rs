//! Tests `doctor` with misconfigured servers. It must name the problem and the change to make.

use std::time::{Duration, Instant};

use super::server::{TestServer, ask, coordinator, free_port, small};

/// Half of the time for which other commands retry.
const NO_RETRY: Duration = Duration::from_secs(30);

/// Runs `doctor` for a server with these options and returns the line of one check.
fn line(options: &[&str], setup: &[&str], subject: &str, code: i32) -> String {
    let dir = small();
    let server = TestServer::start(&dir.path("server"), options);
    let mut connection = server.connection("");
    for step in setup {
        let _: redis::Value = ask(&mut connection, step).unwrap();
    }
    let doctor = coordinator(&dir, &["doctor"], &[("DDRS_REDIS", &server.url())]).expect(code);
    let found = doctor
        .stdout
        .lines()
        .find(|line| line.split_whitespace().nth(1) == Some(subject));
    found
        .unwrap_or_else(|| panic!("{}", doctor.stdout))
        .to_owned()
}

fn assert_says(line: &str, verdict: &str, words: &str) {
    assert!(line.starts_with(verdict) && line.contains(words), "{line}");
}

#[test]
fn a_server_without_persistence_gets_the_settings_for_it() {
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
fn a_server_that_evicts_gets_the_setting_to_change() {
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
fn a_server_whose_snapshots_could_stop_it_gets_the_advice_to_disable_them() {
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

/// Tests refusals that may be temporary. All commands but `doctor` retry after them.
#[test]
fn a_temporary_refusal_is_reported_at_once() {
    for (setup, refusal) in [
        ("CONFIG SET maxmemory 1", "OOM"),
        ("REPLICAOF 127.0.0.1 1", "promote it"),
    ] {
        let start = Instant::now();
        let line = line(&[], &[setup], "requests", 2);
        assert!(start.elapsed() < NO_RETRY, "doctor retried after {refusal}");
        assert_says(&line, "bad", refusal);
        assert!(!line.contains("users.acl"), "{line}");
    }
}

#[test]
fn the_clocks_of_one_machine_agree() {
    assert_says(&line(&[], &[], "clock", 0), "ok", "agrees");
}

#[test]
fn a_cluster_with_unassigned_slots_is_found() {
    let dir = small();
    let bus = free_port().to_string();
    let options = ["--cluster-enabled", "yes", "--cluster-port", &bus];
    let server = TestServer::start(&dir.path("server"), &options);
    let _: () = ask(&mut server.connection(""), "CLUSTER ADDSLOTSRANGE 0 9").unwrap();
    let start = Instant::now();
    let doctor = coordinator(&dir, &["doctor"], &[("DDRS_REDIS", &server.url())]).expect(2);
    assert!(start.elapsed() < NO_RETRY, "doctor retried");
    assert!(
        doctor.stdout.contains("redis-cli --cluster check"),
        "{}",
        doctor.stdout
    );
    assert!(
        doctor.stdout.contains("bad") && doctor.stdout.to_lowercase().contains("cluster"),
        "{}",
        doctor.stdout
    );
}
