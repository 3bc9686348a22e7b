//! Tests a sweep whose last worker was killed.

use std::fs;
use std::process::{Child, Stdio};

use ddrs_tests::{Cluster, HalfSpaceSweep, ProgramOutput, TestDir};

/// Submits a sweep of one sample that takes longer than its lease of one second and has one
/// attempt.
fn one_attempt() -> Cluster {
    let dir = TestDir::new();
    let shape = HalfSpaceSweep {
        samples: 1,
        n: 100_000_000,
        choice: r#"["fixed"]"#,
        lease: 1,
        ..HalfSpaceSweep::default()
    };
    let spec = dir.half_space(&shape);
    let text = fs::read_to_string(&spec).unwrap() + "max-attempts = 1\n";
    fs::write(&spec, text).unwrap();
    Cluster::of(dir)
}

/// Starts a worker and kills it during the one job.
fn kill_the_worker(cluster: &Cluster) {
    let mut worker = cluster.worker(&[]);
    cluster.eventually(|status| (status["leased"] == 1).then_some(()));
    worker.kill().unwrap();
    worker.wait().unwrap();
}

#[test]
fn a_collector_without_workers_marks_the_job_that_killed_the_last_worker_as_dead() {
    let cluster = one_attempt();
    let collector: Child = cluster
        .command(&["collect", &cluster.sweep, "--follow", "--out", "out"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    kill_the_worker(&cluster);
    // The collector ends by itself. No other process can have taken the job back.
    let _ = ProgramOutput::from(collector.wait_with_output().unwrap()).expect(3);
    let status = cluster.status();
    assert_eq!(
        (&status["dead"], &status["leased"]),
        (&1.into(), &0.into()),
        "{status}"
    );
    cluster.shut_down();
}

#[test]
fn an_expired_lease_of_a_lost_worker_is_shown_as_lapsed() {
    let cluster = one_attempt();
    kill_the_worker(&cluster);
    cluster.eventually(|status| (status["leased"] == 1 && status["lapsed"] == 1).then_some(()));
    let text = cluster.ask(&["status", &cluster.sweep]).expect(0).stdout;
    assert!(text.contains("1 leased (1 lapsed)"), "{text}");
    let _ = cluster.ask(&["cancel", &cluster.sweep]).expect(0);
    let text = cluster.ask(&["status", &cluster.sweep]).expect(0).stdout;
    assert!(
        text.contains("(cancelled)") && !text.contains(" left"),
        "{text}"
    );
    cluster.shut_down();
}
