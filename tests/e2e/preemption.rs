//! Tests SIGTERM, and SIGUSR1 as Slurm sends it, during a sample that would take minutes.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ddrs_common::domain::JobId;
use ddrs_common::queue::{EventKind, QueueClient};
use ddrs_tests::{Cluster, HalfSpaceSweep, TestDir, ended, signal};

/// Submits a sweep of one sample that takes 100 million draws for its certificate and as many for
/// its sigma.
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

/// The guaranteed time from the signal to the return of the job to the queue. It usually takes
/// about 10 ms, so the limit leaves room for a machine that is busy with other tests.
const RETURN_LIMIT: Duration = Duration::from_secs(1);

/// Sends a signal to a worker during a sample. Returns the time until the job was back in the
/// queue, by the clock of Redis, which is the clock of this machine.
fn time_to_return(cluster: &Cluster, name: &str) -> Duration {
    let mut worker = cluster.worker(&[]);
    cluster.eventually(|status| (status["leased"] == 1).then_some(()));
    let signalled = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
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
    // The event has a resolution of one millisecond.
    Duration::from_millis(last.at.0 + 1)
        .checked_sub(signalled)
        .expect("the job must be returned after the signal")
}

fn check(choice: &'static str, name: &str) {
    let cluster = endless(choice);
    let took = time_to_return(&cluster, name);
    println!("SIG{name} within {choice}: returned the job after {took:?}");
    assert!(
        took < RETURN_LIMIT,
        "SIG{name} within {choice}: returned the job after {took:?}"
    );
    cluster.shut_down();
}

#[test]
fn a_job_is_returned_during_its_draws() {
    for name in ["TERM", "USR1"] {
        check(r#"["fixed"]"#, name);
    }
}

#[test]
fn a_job_is_returned_while_sigma_is_chosen() {
    for name in ["TERM", "USR1"] {
        check(r#"["data-dependent"]"#, name);
    }
}
