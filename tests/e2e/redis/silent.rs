//! A Redis that hangs without closing keeps nobody from stopping.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use ddrs_tests::{TestDir, ended, signal};

use super::server::{TestServer, coordinator, eventually, long, run};

/// Less than one answer of a server is waited for.
const SOON: Duration = Duration::from_secs(8);

#[test]
fn a_run_whose_redis_hangs_stops_when_it_is_told_to() {
    let dir = long();
    let server = TestServer::start(&dir.path("server"), &[]);
    let url = server.url();
    let log = File::create(dir.path("run.log")).unwrap();
    let mut running = run(&dir, "out", &[("DDRS_REDIS", &url)])
        .stderr(Stdio::from(log))
        .spawn()
        .unwrap();
    eventually("a record", || {
        (!dir.records("out").is_empty()).then_some(())
    });
    signal("STOP", server.pid());
    signal("INT", running.id());
    let (code, took) = ended(&mut running);
    assert_eq!(
        code,
        130,
        "{}",
        std::fs::read_to_string(dir.path("run.log")).unwrap()
    );
    assert!(took < SOON, "{took:?}");
    signal("CONT", server.pid());
    let _ = ddrs_tests::run_to_end(&mut run(&dir, "out", &[("DDRS_REDIS", &url)])).expect(0);
    assert_eq!(dir.records("out").len(), 48, "the same command goes on");
}

/// A run with a Redis of its own that has a record, and the process of that Redis.
fn with_its_own(dir: &TestDir) -> (Child, u32) {
    let log = File::create(dir.path("run.log")).unwrap();
    let running = run(dir, "out", &[])
        .stderr(Stdio::from(log))
        .spawn()
        .unwrap();
    eventually("a record", || {
        (!dir.records("out").is_empty()).then_some(())
    });
    let lock = dir.path("out/redis/redis.lock").canonicalize().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut ids =
        processes.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    // The lock is its stdin.
    let server =
        ids.find(|id| fs::read_link(format!("/proc/{id}/fd/0")).is_ok_and(|target| target == lock));
    (running, server.expect("a redis-server"))
}

fn said(dir: &TestDir) -> String {
    fs::read_to_string(dir.path("run.log")).unwrap()
}

fn assert_gone(server: u32) {
    assert!(
        !Path::new(&format!("/proc/{server}")).exists(),
        "its redis-server is left behind"
    );
}

#[test]
fn a_run_whose_own_redis_hangs_stops_when_it_is_told_to_and_loses_nothing() {
    for name in ["INT", "TERM", "USR1"] {
        let dir = long();
        let (mut running, server) = with_its_own(&dir);
        signal("STOP", server);
        signal(name, running.id());
        let (code, took) = ended(&mut running);
        assert_eq!(code, 130, "{}", said(&dir));
        assert!(took < SOON, "{took:?}");
        assert_gone(server);
        let _ = ddrs_tests::run_to_end(&mut run(&dir, "out", &[])).expect(0);
        assert_eq!(dir.records("out").len(), 48, "the same command goes on");
    }
}

#[test]
fn a_run_whose_own_redis_lost_its_folder_stops_when_it_is_told_to() {
    let dir = long();
    let (mut running, server) = with_its_own(&dir);
    fs::remove_dir_all(dir.path("out/redis")).unwrap();
    signal("INT", running.id());
    let (code, took) = ended(&mut running);
    assert_eq!(code, 130, "{}", said(&dir));
    assert!(took < SOON, "{took:?}");
    assert_gone(server);
    let _ = ddrs_tests::run_to_end(&mut run(&dir, "out", &[])).expect(0);
    assert_eq!(dir.records("out").len(), 48, "the same command goes on");
}

#[test]
fn a_run_that_is_told_to_stop_again_waits_for_nobody() {
    let dir = long();
    let (mut running, server) = with_its_own(&dir);
    signal("STOP", server);
    let code = eventually("its end", || {
        let status = running.try_wait().unwrap();
        if status.is_none() {
            signal("INT", running.id());
        }
        status.map(|status| status.code())
    });
    assert_eq!(code, Some(130), "{}", said(&dir));
    assert!(
        !said(&dir).contains("what it holds is collected"),
        "it waited for the last records: {}",
        said(&dir)
    );
    assert_gone(server);
}

#[test]
fn a_worker_whose_redis_hangs_stops_when_it_is_told_to() {
    let dir = long();
    let server = TestServer::start(&dir.path("server"), &[]);
    let redis = [("DDRS_REDIS", server.url())];
    let redis: Vec<(&str, &str)> = redis
        .iter()
        .map(|(name, url)| (*name, url.as_str()))
        .collect();
    let sweep = coordinator(&dir, &["submit", "sweep.toml"], &redis)
        .expect(0)
        .stdout
        .trim()
        .to_owned();
    let mut worker = dir.worker();
    worker
        .args(["run", "--device", "cpu", "--threads", "1"])
        .envs(redis.iter().copied());
    let mut worker = worker.spawn().unwrap();
    let done = || {
        let told = coordinator(&dir, &["status", &sweep, "--format", "json"], &redis)
            .expect(0)
            .stdout;
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
