//! SIGTERM, and SIGUSR1 as Slurm sends it, in the middle of a sample that would take minutes.

use std::fs;

use ddrs_tests::{Cluster, HalfSpace, TestDir, ended, signal};

/// One sample, certified with a hundred million draws, its sigma chosen with as many.
fn endless(choice: &'static str) -> Cluster {
    let dir = TestDir::new();
    let spec = dir.half_space(&HalfSpace { samples: 1, choice, n: 100_000_000, ..HalfSpace::default() });
    let text = fs::read_to_string(&spec).unwrap().replace("iterations = 5", "iterations = 100_000");
    let text = text.replace("draws = 4", "draws = 1000");
    fs::write(&spec, text).unwrap();
    Cluster::of(dir)
}

fn check(choice: &'static str, name: &str) {
    let cluster = endless(choice);
    let mut worker = cluster.worker(&[]);
    cluster.eventually(|status| (status["leased"] == 1).then_some(()));
    signal(name, worker.id());
    let (code, took) = ended(&mut worker);
    println!("SIG{name} within {choice}: handed back after {took:?}");
    assert_eq!(code, 0, "SIG{name}");
    let status = cluster.status();
    assert_eq!((&status["leased"], &status["pending"]), (&0.into(), &1.into()), "{status}");
    assert_eq!((&status["crashes"], &status["errors"]), (&0.into(), &0.into()), "{status}");
    cluster.end();
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
