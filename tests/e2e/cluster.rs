//! Tests each command for a cluster separately: submit, status, collect, why, cancel, retry,
//! doctor, and the worker.

use std::time::{Duration, Instant};

use ddrs_tests::{Cluster, HalfSpaceSweep, run_to_end};

#[test]
fn the_same_sweep_is_submitted_once() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    assert_eq!(cluster.sweep.len(), 16);
    assert_eq!(
        cluster
            .ask(&["submit", "sweep.toml"])
            .expect(0)
            .stdout
            .trim(),
        cluster.sweep
    );
    let status = cluster.json(&["status", &cluster.sweep]);
    assert_eq!(
        (&status["samples"], &status["pending"]),
        (&48.into(), &16.into()),
        "{status}"
    );
    cluster.shut_down();
}

#[test]
fn workers_and_a_collector_give_the_same_records_as_run() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    cluster.work();
    let status = cluster.json(&["status", &cluster.sweep]);
    assert_eq!(
        (&status["done"], &status["pending"], &status["leased"]),
        (&48.into(), &0.into(), &0.into()),
        "{status}"
    );
    let _ = cluster
        .ask(&["collect", &cluster.sweep, "--out", "collected"])
        .expect(0);
    let _ = cluster
        .ask(&["collect", &cluster.sweep, "--out", "collected"])
        .expect(0);
    let _ = cluster
        .dir
        .run(&cluster.dir.path("sweep.toml"), "run", 1)
        .expect(0);
    assert_eq!(
        cluster.dir.stable_records("collected"),
        cluster.dir.stable_records("run")
    );
    assert!(cluster.dir.path("collected/report/table.md").exists());
    assert_eq!(
        cluster.json(&["status", &cluster.sweep])["uncollected"],
        0,
        "collecting must trim the results in redis"
    );
    cluster.shut_down();
}

#[test]
fn a_second_folder_cannot_take_over_a_collection() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    cluster.work();
    let _ = cluster
        .ask(&["collect", &cluster.sweep, "--out", "first"])
        .expect(0);
    let ended = cluster
        .ask(&["collect", &cluster.sweep, "--out", "second"])
        .expect(1);
    assert!(ended.stderr.contains("first"), "{}", ended.stderr);
    assert!(
        !cluster.dir.path("second").exists(),
        "a refused collection must leave no folder"
    );
    let _ = cluster
        .ask(&["collect", &cluster.sweep, "--out", "first"])
        .expect(0);
    cluster.shut_down();
}

#[test]
fn a_collector_that_is_refused_because_another_collects_leaves_no_folder() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    let mut first = cluster
        .command(&["collect", &cluster.sweep, "--follow", "--out", "first"])
        .spawn()
        .unwrap();
    let holds = || cluster.redis(&["HEXISTS", &cluster.key("meta"), "collector"]) == ":1";
    cluster.eventually(|_| {
        (holds() && cluster.dir.path("first/records.jsonl").exists()).then_some(())
    });
    let ended = cluster
        .ask(&["collect", &cluster.sweep, "--out", "deep/second"])
        .expect(1);
    assert!(
        ended.stderr.contains("first is collecting this sweep"),
        "{}",
        ended.stderr
    );
    assert!(!cluster.dir.path("deep").exists());
    cluster.work();
    assert_eq!(ddrs_tests::ended(&mut first).0, 0);
    assert_eq!(cluster.dir.records("first").len(), 48);
    cluster.shut_down();
}

#[test]
fn a_mistyped_folder_takes_no_records_from_the_right_one() {
    let cluster = Cluster::new(&HalfSpaceSweep {
        n: 60_000,
        ..HalfSpaceSweep::default()
    });
    let mut worker = cluster.worker(&["--exit-when-idle"]);
    while cluster.json(&["status", &cluster.sweep])["done"].as_u64() < Some(5) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = cluster
        .ask(&["collect", &cluster.sweep, "--out", "right"])
        .expect(0);
    assert!(worker.wait().unwrap().success());
    let ended = cluster
        .ask(&["collect", &cluster.sweep, "--out", "wrong"])
        .expect(1);
    assert!(ended.stderr.contains("right"), "{}", ended.stderr);
    assert!(cluster.dir.records("wrong").is_empty());
    let _ = cluster
        .ask(&["collect", &cluster.sweep, "--out", "right"])
        .expect(0);
    assert_eq!(cluster.dir.records("right").len(), 48);
    cluster.shut_down();
}

#[test]
fn a_worker_that_is_stopped_by_a_signal_returns_its_job_without_a_charge() {
    for signal in ["TERM", "INT", "USR1"] {
        let cluster = Cluster::new(&HalfSpaceSweep {
            n: 2_000_000,
            samples: 2,
            ..HalfSpaceSweep::default()
        });
        let mut worker = cluster.worker(&[]);
        let deadline = Instant::now() + Duration::from_secs(60);
        while cluster.json(&["status", &cluster.sweep])["leased"] != 1 {
            assert!(Instant::now() < deadline, "no job was claimed");
            std::thread::sleep(Duration::from_millis(20));
        }
        let pid = worker.id().to_string();
        assert!(
            std::process::Command::new("kill")
                .args([&format!("-{signal}"), &pid])
                .status()
                .unwrap()
                .success()
        );
        assert!(worker.wait().unwrap().success(), "{signal}");
        let status = cluster.json(&["status", &cluster.sweep]);
        assert_eq!(
            (&status["leased"], &status["pending"], &status["crashes"]),
            (&0.into(), &2.into(), &0.into()),
            "{signal}: {status}"
        );
        cluster.shut_down();
    }
}

#[test]
fn a_cancelled_sweep_hands_out_no_job_until_it_is_submitted_again() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    let _ = cluster.ask(&["cancel", &cluster.sweep]).expect(0);
    cluster.work();
    assert_eq!(cluster.json(&["status", &cluster.sweep])["done"], 0);
    let _ = cluster.ask(&["submit", "sweep.toml"]).expect(0);
    cluster.work();
    assert_eq!(cluster.json(&["status", &cluster.sweep])["done"], 48);
    cluster.shut_down();
}

#[test]
fn why_shows_what_happened_to_a_sample() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    let why = |index: &str| cluster.json(&["why", &cluster.sweep, "plane/fixed/0.5", index]);
    assert_eq!(why("4")["state"], "pending");
    cluster.work();
    let explained = why("4");
    assert_eq!(
        (&explained["state"], &explained["job"]),
        (&"done".into(), &1.into()),
        "{explained}"
    );
    for (variant, index, word) in [
        ("plane/fixed/9", "4", "plane/fixed/0.5"),
        ("plane/fixed/0.5", "24", "24"),
    ] {
        let ended = cluster
            .ask(&["why", &cluster.sweep, variant, index])
            .expect(2);
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
    cluster.shut_down();
}

#[test]
fn a_worker_opens_no_file_outside_its_root() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    let elsewhere = tempfile::tempdir().unwrap();
    let root = elsewhere.path().display().to_string();
    let ended = run_to_end(
        cluster
            .dir
            .worker()
            .args([
                "run",
                "--exit-when-idle",
                "--device",
                "cpu",
                "--root",
                &root,
            ])
            .env("DDRS_REDIS", cluster.server.url()),
    );
    let ended = ended.expect(2);
    assert!(
        ended.stderr.contains("--root") && ended.stderr.contains("inputs.safetensors"),
        "{}",
        ended.stderr
    );
    assert_eq!(cluster.json(&["status", &cluster.sweep])["done"], 0);
    cluster.shut_down();
}

#[test]
fn a_log_on_a_full_disk_stops_no_program() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let mut worker = cluster.dir.worker();
    worker
        .args(["run", "--device", "cpu", "--exit-when-idle"])
        .env("DDRS_REDIS", cluster.server.url());
    assert!(worker.stderr(full()).status().unwrap().success());
    let mut collect = cluster.dir.coordinator();
    collect
        .args(["collect", &cluster.sweep, "--follow", "--out", "out"])
        .env("DDRS_REDIS", cluster.server.url());
    assert!(
        collect
            .stderr(full())
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(cluster.dir.records("out").len(), 48);
    cluster.shut_down();
}

#[test]
fn a_model_that_changed_after_submission_is_refused() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    ddrs_tests::write_half_space(&cluster.dir.path("model.safetensors"), &[1.0; 48], 0.0);
    let ended = run_to_end(
        cluster
            .dir
            .worker()
            .args(["run", "--exit-when-idle", "--device", "cpu"])
            .env("DDRS_REDIS", cluster.server.url()),
    );
    let ended = ended.expect(2);
    assert!(
        ended.stderr.contains("model.safetensors") && ended.stderr.contains("digest"),
        "{}",
        ended.stderr
    );
    cluster.shut_down();
}

#[test]
fn doctor_finds_the_sweep_runnable() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    let ended = cluster.ask(&["doctor", "sweep.toml"]).expect(0);
    for word in ["redis", "append", "48"] {
        assert!(ended.stdout.contains(word), "{}", ended.stdout);
    }
    cluster.shut_down();
}

#[test]
fn unknown_sweeps_and_unreachable_servers_are_named() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    for command in [
        &["status"][..],
        &["retry"],
        &["cancel"],
        &["collect", "--out", "x"],
    ] {
        let ended = cluster.ask(&[command, &["0123456789abcdef"]].concat());
        assert!(
            ended.code == 2 && ended.stderr.contains("0123456789abcdef"),
            "{command:?}: {ended:?}"
        );
    }
    let ended = run_to_end(
        cluster
            .dir
            .coordinator()
            .arg("status")
            .env("DDRS_REDIS", "redis://user:secret@127.0.0.1:1/"),
    );
    assert!(
        ended.code == 1 && ended.stderr.contains("127.0.0.1:1") && !ended.stderr.contains("secret"),
        "{ended:?}"
    );
    cluster.shut_down();
}
