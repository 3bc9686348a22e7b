//! Tests results in Redis that no worker of the sweep can have written.

use ddrs_tests::{Cluster, HalfSpaceSweep, run_to_end};

#[test]
fn results_from_outside_the_sweep_are_dropped_and_the_samples_are_certified() {
    let cluster = Cluster::new(&HalfSpaceSweep {
        samples: 6,
        ..HalfSpaceSweep::default()
    });
    let results = cluster.key("results");
    // The first certified record of a finished run is changed: once the seed, once the radius,
    // which then does not follow from the counts.
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
    // This bit is beyond the last slot.
    let _ = cluster.redis(&["SETBIT", &cluster.key("done"), "4000", "1"]);
    cluster.work();
    let stderr = cluster
        .ask(&["collect", &cluster.sweep, "--out", "out"])
        .expect(0)
        .stderr;
    assert_eq!(
        stderr.matches("dropping a record that redis holds").count(),
        4,
        "{stderr}"
    );
    assert_eq!(
        cluster.dir.stable_records("out"),
        cluster.dir.stable_records("undisturbed")
    );
    let _ = cluster.ask(&["report", "out"]).expect(0);
    cluster.shut_down();
}

#[test]
fn a_result_that_cannot_be_trimmed_is_reported_and_not_read_forever() {
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
    let stderr = cluster
        .ask(&["collect", &cluster.sweep, "--out", "out"])
        .expect(1)
        .stderr;
    assert!(
        stderr.contains(last) && stderr.contains("remove it"),
        "{stderr}"
    );
    cluster.shut_down();
}

#[test]
fn an_argument_that_is_not_valid_text_is_refused_by_both_programs() {
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
