//! SIGTERM, and SIGUSR1 as Slurm sends it, in the middle of a sample that would take minutes.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ddrs_common::domain::JobId;
use ddrs_common::queue::{EventKind, QueueClient};
use ddrs_tests::{Cluster, HalfSpaceSweep, TestDir, ended, signal};

/// One sample, certified with a hundred million draws, its sigma chosen with as many.
fn endless(choice: &'static str) -> Cluster {
    let dir = TestDir::new();
    let spec = dir.half_space(&HalfSpaceSweep {
        samples: 1,
        choice,
        n: 100_000_000,
        ..HalfSpaceSweep::default()
    });
    let text = fs::read_to_string(&spec)
        .unwrap()
        .replace("iterations = 5", "iterations = 100_000");
    let text = text.replace("draws = 4", "draws = 1000");
    fs::write(&spec, text).unwrap();
    Cluster::of(dir)
}

/// What is promised, from the signal to the job's being back in the queue. It takes some ten
/// milliseconds, so this leaves room for a machine that is busy with other tests.
const PROMISED: Duration = Duration::from_secs(1);

/// Tells a worker to stop in mid-sample; returns how long it took until the job was back, by the
/// clock of Redis, which is also this machine's.
fn hand_back(cluster: &Cluster, name: &str) -> Duration {
    let mut worker = cluster.worker(&[]);
    cluster.eventually(|status| (status["leased"] == 1).then_some(()));
    let told = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    signal(name, worker.id());
    assert_eq!(ended(&mut worker).0, 0, "SIG{name}");
    let status = cluster.status();
    assert_eq!(
        (&status["leased"], &status["pending"]),
        (&0.into(), &1.into()),
        "{status}"
    );
    assert_eq!(
        (&status["crashes"], &status["errors"]),
        (&0.into(), &0.into()),
        "{status}"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let trail = runtime.block_on(async {
        let client = QueueClient::connect(&cluster.server.url()).await.unwrap();
        client
            .sweep(&cluster.sweep.parse().unwrap())
            .status()
            .job_events(JobId(0))
            .await
            .unwrap()
    });
    let last = trail.last().unwrap();
    assert_eq!(last.kind, EventKind::Released);
    // Its clock counts whole milliseconds.
    Duration::from_millis(last.at.0 + 1)
        .checked_sub(told)
        .expect("handed back after the signal")
}

fn check(choice: &'static str, name: &str) {
    let cluster = endless(choice);
    let took = hand_back(&cluster, name);
    println!("SIG{name} within {choice}: handed back after {took:?}");
    assert!(
        took < PROMISED,
        "SIG{name} within {choice}: handed back after {took:?}"
    );
    cluster.shut_down();
}

#[test]
fn a_job_is_handed_back_in_the_middle_of_its_draws() {
    for name in ["TERM", "USR1"] {
        check(r#"["fixed"]"#, name);
    }
}

#[test]
fn a_job_is_handed_back_in_the_middle_of_choosing_sigma() {
    for name in ["TERM", "USR1"] {
        check(r#"["data-dependent"]"#, name);
    }
}
