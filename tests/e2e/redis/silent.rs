//! Tests that the programs can be stopped while Redis hangs without closing connections.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use ddrs_tests::{TestDir, ended, signal};

use super::server::{TestServer, coordinator, eventually, long, run};

/// A time below the response timeout of the queue.
const STOP_LIMIT: Duration = Duration::from_secs(8);

#[test]
fn a_run_whose_redis_hangs_stops_on_a_signal() {
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
    assert!(took < STOP_LIMIT, "{took:?}");
    signal("CONT", server.pid());
    let _ = ddrs_tests::run_to_end(&mut run(&dir, "out", &[("DDRS_REDIS", &url)])).expect(0);
    assert_eq!(
        dir.records("out").len(),
        48,
        "the same command must resume the run"
    );
}

/// Starts a run with a private Redis and waits for its first record. Returns the run and the
/// process id of its Redis.
fn run_with_private_redis(dir: &TestDir) -> (Child, u32) {
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
    // The stdin of the server is the lock file.
    let server =
        ids.find(|id| fs::read_link(format!("/proc/{id}/fd/0")).is_ok_and(|target| target == lock));
    (running, server.expect("a redis-server"))
}

fn log(dir: &TestDir) -> String {
    fs::read_to_string(dir.path("run.log")).unwrap()
}

fn assert_gone(server: u32) {
    assert!(
        !Path::new(&format!("/proc/{server}")).exists(),
        "the redis-server of the run is left over"
    );
}

#[test]
fn a_run_whose_private_redis_hangs_stops_on_a_signal_and_loses_nothing() {
    for name in ["INT", "TERM", "USR1"] {
        let dir = long();
        let (mut running, server) = run_with_private_redis(&dir);
        signal("STOP", server);
        signal(name, running.id());
        let (code, took) = ended(&mut running);
        assert_eq!(code, 130, "{}", log(&dir));
        assert!(took < STOP_LIMIT, "{took:?}");
        assert_gone(server);
        let _ = ddrs_tests::run_to_end(&mut run(&dir, "out", &[])).expect(0);
        assert_eq!(
            dir.records("out").len(),
            48,
            "the same command must resume the run"
        );
    }
}

#[test]
fn a_run_whose_private_redis_lost_its_folder_stops_on_a_signal() {
    let dir = long();
    let (mut running, server) = run_with_private_redis(&dir);
    fs::remove_dir_all(dir.path("out/redis")).unwrap();
    signal("INT", running.id());
    let (code, took) = ended(&mut running);
    assert_eq!(code, 130, "{}", log(&dir));
    assert!(took < STOP_LIMIT, "{took:?}");
    assert_gone(server);
    let _ = ddrs_tests::run_to_end(&mut run(&dir, "out", &[])).expect(0);
    assert_eq!(
        dir.records("out").len(),
        48,
        "the same command must resume the run"
    );
}

#[test]
fn a_second_signal_stops_a_run_at_once() {
    let dir = long();
    let (mut running, server) = run_with_private_redis(&dir);
    signal("STOP", server);
    let code = eventually("end of the run", || {
        let status = running.try_wait().unwrap();
        if status.is_none() {
            signal("INT", running.id());
        }
        status.map(|status| status.code())
    });
    assert_eq!(code, Some(130), "{}", log(&dir));
    assert!(
        !log(&dir).contains("to collect the records that it holds"),
        "the run waited for the last records: {}",
        log(&dir)
    );
    assert_gone(server);
}

#[test]
fn a_worker_whose_redis_hangs_stops_on_a_signal() {
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
        let output = coordinator(&dir, &["status", &sweep, "--format", "json"], &redis)
            .expect(0)
            .stdout;
        let status: serde_json::Value = serde_json::from_str(&output).unwrap();
        (status["done"].as_u64() > Some(0)).then_some(())
    };
    eventually("a record", done);
    signal("STOP", server.pid());
    signal("TERM", worker.id());
    let (code, took) = ended(&mut worker);
    assert_eq!(code, 0);
    assert!(took < STOP_LIMIT, "{took:?}");
}
