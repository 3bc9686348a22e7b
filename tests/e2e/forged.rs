//! Tests results that no worker of the sweep can have written, in Redis and in a run folder.

use std::fs;

use ddrs_tests::{Cluster, HalfSpaceSweep, TestDir, run_to_end};
use serde_json::{Value, json};

/// Changes one certified record of a variant in a copy of a run folder. Returns the number of its
/// line and the error of `report`.
fn refusal(dir: &TestDir, variant: &str, forge: impl Fn(&mut Value)) -> (usize, String) {
    let text = fs::read_to_string(dir.path("out/records.jsonl")).unwrap();
    let mut records: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let place = records
        .iter()
        .position(|record| record["variant"] == variant && !record["prediction"].is_null())
        .unwrap();
    forge(&mut records[place]);
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    dir.write("forged/records.jsonl", lines.join("\n") + "\n");
    fs::copy(
        dir.path("out/manifest.json"),
        dir.path("forged/manifest.json"),
    )
    .unwrap();
    let ended = run_to_end(dir.coordinator().args(["report", "forged"])).expect(2);
    (place + 1, ended.stderr)
}

/// The choice of sigma of a variant, a change to one of its records, and the reason why the record
/// is then refused.
type ForgedRecord = (&'static str, fn(&mut Value), &'static str);

const FORGED_NUMBERS: [ForgedRecord; 6] = [
    (
        "fixed",
        |record| {
            let radius = record["radius"].as_f64().unwrap();
            record["radius"] = json!(radius * 80.0);
            record["sigma"] = json!(40.0);
        },
        "its sigma is 40, but the variant's is fixed at 0.5",
    ),
    (
        "data-dependent",
        |record| record["sigma"] = json!(40.0),
        "its sigma is 40, outside the range [0.01, 4] of the choice",
    ),
    (
        "fixed",
        |record| {
            record["prediction"] = record["label"].clone();
            record["count"] = json!(25);
            record["runner_up_count"] = json!(475);
            record["radius"] = json!(0.0);
            record["p_lower"] = json!(0.04);
        },
        "it has p_lower 0.04, but its counts give p_lower",
    ),
    (
        "fixed",
        |record| record["p_lower"] = json!(0.999),
        "it has p_lower 0.999, but its counts give p_lower",
    ),
    (
        "fixed",
        |record| {
            let radius = record["radius"].as_f64().unwrap();
            record["radius"] = json!(radius * 1.000_000_1);
        },
        "but its counts and sigma give",
    ),
    (
        "fixed",
        |record| record["p_upper"] = json!(0.01),
        "it has p_upper, but the sweep bounds one class",
    ),
];

const FORGED_SETTINGS: [ForgedRecord; 5] = [
    (
        "fixed",
        |record| record["label"] = json!(1 - record["label"].as_u64().unwrap()),
        ", but the data's is ",
    ),
    (
        "fixed",
        |record| record["sigma0"] = json!(7.0),
        "its sigma0 is 7, but the variant's is 0.5",
    ),
    (
        "fixed",
        |record| record["prediction"] = json!(999),
        "its prediction is 999, but the model has 2 classes",
    ),
    (
        "fixed",
        |record| record["statement"] = json!("selected"),
        "its statement is \"selected\", but this variant's is \"fixed\"",
    ),
    (
        "fixed",
        |record| record["variant"] = json!("plane/fixed/40"),
        "the sweep has no such variant",
    ),
];

#[test]
fn every_kind_of_forged_record_is_refused_by_its_line() {
    let dir = TestDir::new();
    let spec = dir.half_space(&HalfSpaceSweep::default());
    let _ = dir.run(&spec, "out", 1).expect(0);
    for (choice, forge, reason) in FORGED_NUMBERS.into_iter().chain(FORGED_SETTINGS) {
        let variant = format!("plane/{choice}/0.5");
        let (line, stderr) = refusal(&dir, &variant, forge);
        for part in [
            &format!("records.jsonl, line {line}: plane/{choice}/"),
            reason,
            "delete it and give the run again",
        ] {
            assert!(stderr.contains(part), "{part} is not in\n{stderr}");
        }
    }
    let (_, stderr) = refusal(&dir, "plane/fixed/0.5", |record| {
        record["alpha"] = json!(1e-180);
    });
    let reason = "alpha must be at least 1e-100, not 1e-180";
    assert!(stderr.contains(reason), "{stderr}");
}

#[test]
fn labels_of_other_data_are_not_checked_and_that_is_said() {
    let dir = TestDir::new();
    let spec = dir.half_space(&HalfSpaceSweep::default());
    let _ = dir.run(&spec, "out", 1).expect(0);
    fs::remove_file(dir.path("inputs.safetensors")).unwrap();
    let ended = run_to_end(dir.coordinator().args(["report", "out"])).expect(0);
    let warning = "the labels of the records are not checked";
    assert!(ended.stderr.contains(warning), "{}", ended.stderr);
}

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
