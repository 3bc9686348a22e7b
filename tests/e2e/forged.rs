//! Results in Redis that no worker of the sweep can have written.

use ddrs_tests::{Cluster, HalfSpaceSweep, run_to_end};

#[test]
fn results_that_are_none_of_the_sweeps_are_dropped_and_certified_in_earnest() {
    let cluster = Cluster::new(&HalfSpaceSweep {
        samples: 6,
        ..HalfSpaceSweep::default()
    });
    let results = cluster.key("results");
    // A finished sweep's first record, of another seed, and with a radius that does not follow from
    // its counts.
    let _ = cluster
        .dir
        .run(&cluster.dir.path("sweep.toml"), "undisturbed", 1)
        .expect(0);
    let text = std::fs::read_to_string(cluster.dir.path("undisturbed/records.jsonl")).unwrap();
    let honest = text
        .lines()
        .find(|line| !line.contains("\"prediction\":null"))
        .unwrap();
    let radius = honest
        .split_once("\"radius\":")
        .unwrap()
        .1
        .split_once(',')
        .unwrap()
        .0;
    for (seed, claimed) in [(9, radius), (1, "9.0")] {
        let forged = honest
            .replace("\"seed\":1,", &format!("\"seed\":{seed},"))
            .replace(
                &format!("\"radius\":{radius},"),
                &format!("\"radius\":{claimed},"),
            );
        assert_ne!(forged, honest);
        let _ = cluster.redis(&["XADD", &results, "*", "slot", "0", "record", &forged]);
    }
    let _ = cluster.redis(&["XADD", &results, "*", "slot", "0", "record", "junk"]);
    let _ = cluster.redis(&["XADD", &results, "*", "nothing", "here"]);
    // A bit beyond the last slot.
    let _ = cluster.redis(&["SETBIT", &cluster.key("done"), "4000", "1"]);
    cluster.work();
    let said = cluster
        .ask(&["collect", &cluster.sweep, "--out", "out"])
        .expect(0)
        .stderr;
    assert_eq!(
        said.matches("a result in redis is dropped").count(),
        4,
        "{said}"
    );
    assert_eq!(
        cluster.dir.stable_records("out"),
        cluster.dir.stable_records("undisturbed")
    );
    let _ = cluster.ask(&["report", "out"]).expect(0);
    cluster.shut_down();
}

#[test]
fn a_result_that_cannot_be_trimmed_is_told_and_not_read_for_ever() {
    let cluster = Cluster::new(&HalfSpaceSweep {
        samples: 6,
        ..HalfSpaceSweep::default()
    });
    let last = "18446744073709551615-18446744073709551615";
    let _ = cluster.redis(&[
        "XADD",
        &cluster.key("results"),
        last,
        "slot",
        "0",
        "record",
        "junk",
    ]);
    let said = cluster
        .ask(&["collect", &cluster.sweep, "--out", "out"])
        .expect(1)
        .stderr;
    assert!(said.contains(last) && said.contains("remove it"), "{said}");
    cluster.shut_down();
}

#[test]
fn an_argument_that_is_no_text_is_refused_by_both_programs() {
    use std::os::unix::ffi::OsStrExt;
    let cluster = Cluster::new(&HalfSpaceSweep {
        samples: 6,
        ..HalfSpaceSweep::default()
    });
    let odd = std::ffi::OsStr::from_bytes(b"bad\xff.toml");
    let run = run_to_end(
        cluster
            .dir
            .coordinator()
            .arg("run")
            .arg(odd)
            .args(["--out", "odd"]),
    )
    .expect(2);
    assert!(run.stderr.contains("bad"), "{}", run.stderr);
    let worker = run_to_end(
        cluster
            .dir
            .worker()
            .args(["run", "--redis", "redis://127.0.0.1:1", "--root"])
            .arg(odd),
    )
    .expect(2);
    assert!(worker.stderr.contains("bad"), "{}", worker.stderr);
    cluster.shut_down();
}
