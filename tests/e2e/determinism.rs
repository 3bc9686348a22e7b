//! Tests that a sweep gives the same records for any number of workers, job size or interruption.

use ddrs_common::queue::PrivateServer;
use ddrs_tests::{HalfSpaceSweep, TestDir};

use crate::interrupted::{kill_group, start, wait_for_records};

/// The records of a sweep over 24 images with two choices of sigma.
const ALL: usize = 48;

#[test]
fn one_worker_or_three_give_the_same_records() {
    let dir = TestDir::new();
    let spec = dir.half_space(&HalfSpaceSweep::default());
    let _ = dir.run(&spec, "one", 1).expect(0);
    let _ = dir.run(&spec, "three", 3).expect(0);
    assert_eq!(dir.stable_records("one"), dir.stable_records("three"));
}

#[test]
fn jobs_of_any_size_give_the_same_records() {
    let dir = TestDir::new();
    let mut seen = Vec::new();
    for job_samples in [1, 3, 5, 24] {
        let spec = dir.half_space(&HalfSpaceSweep {
            job_samples,
            ..HalfSpaceSweep::default()
        });
        let out = format!("jobs-of-{job_samples}");
        let _ = dir.run(&spec, &out, 2).expect(0);
        seen.push(dir.stable_records(&out));
    }
    assert!(seen[0].len() == 48 && seen.iter().all(|records| *records == seen[0]));
}

#[test]
fn another_seed_gives_other_counts() {
    let dir = TestDir::new();
    let spec = dir.half_space(&HalfSpaceSweep::default());
    let _ = dir.run(&spec, "one", 1).expect(0);
    let spec = dir.half_space(&HalfSpaceSweep {
        seed: 2,
        ..HalfSpaceSweep::default()
    });
    let _ = dir.run(&spec, "two", 1).expect(0);
    let counts = |out| {
        dir.records(out)
            .values()
            .map(|r| r["count"].as_u64())
            .collect::<Vec<_>>()
    };
    assert_ne!(counts("one"), counts("two"));
}

#[test]
fn a_run_that_was_killed_ends_with_the_same_records() {
    let dir = TestDir::new();
    let spec = dir.half_space(&slow());
    let _ = dir.run(&spec, "whole", 1).expect(0);
    let mut killed = 0;
    for part in [5, 20, 35] {
        let child = start(&dir, &spec);
        if wait_for_records(&dir, part, ALL) {
            kill_group(child);
            killed += 1;
        } else {
            let _ = child.wait_with_output();
        }
    }
    let _ = dir.run(&spec, "killed", 2).expect(0);
    assert!(killed > 0, "the run was too fast to be killed");
    assert_eq!(dir.stable_records("whole"), dir.stable_records("killed"));
}

#[test]
fn a_killed_worker_costs_nothing_but_time() {
    let dir = TestDir::new();
    let spec = dir.half_space(&slow());
    let _ = dir.run(&spec, "whole", 1).expect(0);
    let child = start(&dir, &spec);
    assert!(wait_for_records(&dir, 5, ALL), "the run was too fast");
    let worker = children_named("ddrs-worker", child.id())
        .pop()
        .expect("a worker of the run");
    kill("KILL", worker);
    let ended = child.wait_with_output().unwrap();
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert_eq!(dir.stable_records("whole"), dir.stable_records("killed"));
}

#[test]
fn an_interrupted_run_reports_it_and_can_be_resumed() {
    let dir = TestDir::new();
    let spec = dir.half_space(&slow());
    let _ = dir.run(&spec, "whole", 1).expect(0);
    let child = start(&dir, &spec);
    assert!(wait_for_records(&dir, 5, ALL), "the run was too fast");
    kill("INT", child.id());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(
        ended.status.code(),
        Some(130),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert!(
        dir.records("killed").len() < dir.records("whole").len(),
        "the run was interrupted after its end"
    );
    let _ = dir.run(&spec, "killed", 2).expect(0);
    assert_eq!(dir.stable_records("whole"), dir.stable_records("killed"));
    let attempts = dir
        .records("killed")
        .values()
        .map(|r| r["attempt"].as_u64().unwrap())
        .max();
    assert_eq!(
        attempts,
        Some(1),
        "an interruption must not count as an attempt"
    );
}

#[test]
fn a_run_resumes_without_its_redis_files() {
    let dir = TestDir::new();
    let spec = dir.half_space(&slow());
    let _ = dir.run(&spec, "whole", 1).expect(0);
    let child = start(&dir, &spec);
    assert!(wait_for_records(&dir, 5, ALL), "the run was too fast");
    kill_group(child);
    let had = dir.records("killed");
    stop_redis(&dir);
    std::fs::remove_dir_all(dir.path("killed/redis")).unwrap();
    let _ = dir.run(&spec, "killed", 2).expect(0);
    assert_eq!(dir.stable_records("whole"), dir.stable_records("killed"));
    let again = dir.records("killed");
    assert!(
        had.iter().all(|(key, record)| again[key] == *record),
        "a record in the file was computed again"
    );
}

/// Returns a sweep that takes a few seconds, so that a test can interrupt it.
fn slow() -> HalfSpaceSweep {
    HalfSpaceSweep {
        n: 60_000,
        lease: 2,
        ..HalfSpaceSweep::default()
    }
}

/// Stops the server that is left from a run, before its folder is removed.
fn stop_redis(dir: &TestDir) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let folder = dir.path("killed/redis");
    runtime.block_on(async {
        PrivateServer::start(&folder)
            .await
            .unwrap()
            .stop()
            .await
            .unwrap();
    });
}

fn kill(signal: &str, pid: u32) {
    let status = std::process::Command::new("kill")
        .args([&format!("-{signal}"), &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Returns the child processes of a process that run the named program, according to /proc.
fn children_named(name: &str, parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let field = |key: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .map(|v| v.trim().to_owned())
        };
        if field("Name:").as_deref() == Some(name) && field("PPid:") == Some(parent.to_string()) {
            found.push(pid);
        }
    }
    found
}
