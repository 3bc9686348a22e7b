//! A Redis that hangs without closing keeps nobody from stopping.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use ddrs_tests::{ended, signal};

use super::server::{Server, coordinator, eventually, long, run};

/// Less than one answer of a server is waited for.
const SOON: Duration = Duration::from_secs(8);

#[test]
fn a_run_whose_redis_hangs_stops_when_it_is_told_to() {
    let dir = long();
    let server = Server::start(&dir.path("server"), &[]);
    let url = server.url();
    let log = File::create(dir.path("run.log")).unwrap();
    let mut running = run(&dir, "out", &[("DDRS_REDIS", &url)]).stderr(Stdio::from(log)).spawn().unwrap();
    eventually("a record", || (!dir.records("out").is_empty()).then_some(()));
    signal("STOP", server.pid());
    signal("INT", running.id());
    let (code, took) = ended(&mut running);
    assert_eq!(code, 130, "{}", std::fs::read_to_string(dir.path("run.log")).unwrap());
    assert!(took < SOON, "{took:?}");
    signal("CONT", server.pid());
    let _ = ddrs_tests::end(&mut run(&dir, "out", &[("DDRS_REDIS", &url)])).expect(0);
    assert_eq!(dir.records("out").len(), 48, "the same command goes on");
}

#[test]
fn a_worker_whose_redis_hangs_stops_when_it_is_told_to() {
    let dir = long();
    let server = Server::start(&dir.path("server"), &[]);
    let redis = [("DDRS_REDIS", server.url())];
    let redis: Vec<(&str, &str)> = redis.iter().map(|(name, url)| (*name, url.as_str())).collect();
    let sweep = coordinator(&dir, &["submit", "sweep.toml"], &redis).expect(0).stdout.trim().to_owned();
    let mut worker = dir.worker();
    worker.args(["run", "--device", "cpu", "--threads", "1"]).envs(redis.iter().copied());
    let mut worker = worker.spawn().unwrap();
    let done = || {
        let told = coordinator(&dir, &["status", &sweep, "--format", "json"], &redis).expect(0).stdout;
        let status: serde_json::Value = serde_json::from_str(&told).unwrap();
        (status["done"].as_u64() > Some(0)).then_some(())
    };
    eventually("a record", done);
    signal("STOP", server.pid());
    signal("TERM", worker.id());
    let (code, took) = ended(&mut worker);
    assert_eq!(code, 0);
    assert!(took < SOON, "{took:?}");
}
