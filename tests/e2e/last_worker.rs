//! What happens when nobody is left who works.

use std::fs;
use std::process::{Child, Stdio};

use ddrs_tests::{Cluster, HalfSpaceSweep, ProgramOutput, TestDir};

/// One sample of more than a second, one attempt, a lease of a second.
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

/// A worker that was killed in the middle of the one job.
fn kill_the_worker(cluster: &Cluster) {
    let mut worker = cluster.worker(&[]);
    cluster.eventually(|status| (status["leased"] == 1).then_some(()));
    worker.kill().unwrap();
    worker.wait().unwrap();
}

#[test]
fn a_collector_that_is_left_alone_buries_the_job_that_killed_the_last_worker() {
    let cluster = one_attempt();
    let collector: Child = cluster
        .command(&["collect", &cluster.sweep, "--follow", "--out", "out"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    kill_the_worker(&cluster);
    // Ends by itself: nobody but the collector can have taken the job back.
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
fn a_lease_that_nobody_takes_back_is_shown_as_lapsed() {
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
