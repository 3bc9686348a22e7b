//! Tests poison samples, which kill their workers, with real workers.

use std::fs;

use ddrs_tests::{Cluster, HalfSpaceSweep, Poison, TestDir};

const VARIANT: &str = "plane/fixed/0.5";

/// Writes a sweep of three jobs of four samples.
fn three_jobs(max_attempts: u32) -> TestDir {
    let dir = TestDir::new();
    let shape = HalfSpaceSweep {
        samples: 12,
        job_samples: 4,
        choice: r#"["fixed"]"#,
        ..HalfSpaceSweep::default()
    };
    let spec = dir.half_space(&shape);
    let text = fs::read_to_string(&spec).unwrap() + &format!("max-attempts = {max_attempts}\n");
    fs::write(&spec, text).unwrap();
    dir
}

/// Runs the sweep through a proxy that kills the worker of each sample in `fatal`. Checks that only
/// these samples are lost, and that the other records equal those of an undisturbed run.
fn check(max_attempts: u32, fatal: &[u64], kills: u32) {
    let cluster = Cluster::of(three_jobs(max_attempts));
    let samples: Vec<(&str, u64)> = fatal.iter().map(|&index| (VARIANT, index)).collect();
    let poison = Poison::before(
        &cluster.socket(),
        &cluster.dir.path("poison.sock"),
        &samples,
    );
    let run = |url: &str| {
        let arguments = ["run", "sweep.toml", "--out", "out", "--device", "cpu"];
        cluster.ask(&[&arguments[..], &["--workers", "2", "--redis", url]].concat())
    };

    let ended = run(&poison.url()).expect(3);
    assert_eq!(poison.kills(), kills);
    let status = cluster.status();
    let dead = status["dead_jobs"].as_array().unwrap();
    let mut jobs: Vec<u64> = fatal.iter().map(|index| index / 4).collect();
    jobs.dedup();
    assert_eq!(
        dead.iter()
            .map(|job| job["job"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        jobs,
        "{status}"
    );
    let reasons: String = dead
        .iter()
        .map(|job| job["reason"].as_str().unwrap())
        .collect();
    for index in fatal {
        let named = format!("sample {index} of {VARIANT} killed its worker");
        assert!(
            reasons.contains(&named) && ended.stderr.contains(&named),
            "{reasons}\n{}",
            ended.stderr
        );
        let explained = cluster.json(&["why", &cluster.sweep, VARIANT, &index.to_string()]);
        assert!(
            explained["state"] == "dead" && explained["workers_lost"].as_u64() > Some(0),
            "{explained}"
        );
        let text = cluster
            .ask(&["why", &cluster.sweep, VARIANT, &index.to_string()])
            .expect(0)
            .stdout;
        let times = |words: &str| text.matches(words).count();
        let ends = times("the last was") + times("nothing else is left of the job");
        assert_eq!(
            (times(&named), ends, times("was lost")),
            (1, 1, 0),
            "the sample must be named once: {text}"
        );
    }
    let before = cluster.dir.stable_records("out");
    assert_eq!(
        before.len(),
        12 - fatal.len(),
        "every other sample must be certified"
    );

    let _ = cluster.ask(&["retry", &cluster.sweep]).expect(0);
    let _ = run(&cluster.server.url()).expect(0);
    let whole = cluster.dir.stable_records("out");
    assert!(whole.len() == 12 && before.iter().all(|(key, record)| whole[key] == *record));
    let _ = cluster
        .dir
        .run(&cluster.dir.path("sweep.toml"), "undisturbed", 1)
        .expect(0);
    assert_eq!(
        whole,
        cluster.dir.stable_records("undisturbed"),
        "the records must equal those of an undisturbed run"
    );
    cluster.shut_down();
}

#[test]
fn a_sample_that_kills_its_worker_is_the_only_one_lost() {
    check(3, &[5], 3);
}

#[test]
fn a_sample_that_kills_its_worker_is_found_even_if_jobs_have_one_attempt() {
    check(1, &[5], 2);
}

#[test]
fn several_poison_samples_in_one_job_and_one_in_another_are_all_found() {
    // Each job has two attempts. Its first loss is not charged to a particular sample.
    check(2, &[4, 7, 9], 3 + 2);
}
