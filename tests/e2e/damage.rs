//! Tests a damaged sweep and a healthy one on the same Redis.

use std::fs;
use std::process::Stdio;

use ddrs_tests::{Cluster, HalfSpaceSweep, ended, run_to_end, signal};

/// Submits a second sweep to the Redis of the cluster.
fn another(cluster: &Cluster) -> String {
    let text = fs::read_to_string(cluster.dir.path("sweep.toml"))
        .unwrap()
        .replace("seed = 1", "seed = 2");
    cluster.dir.write("other.toml", text);
    cluster
        .ask(&["submit", "other.toml"])
        .expect(0)
        .stdout
        .trim()
        .to_owned()
}

#[test]
fn a_damaged_sweep_neither_blocks_workers_nor_hides_other_sweeps() {
    let value = |key: &'static str, words: [&'static str; 2]| (key, "HSET", words.to_vec());
    for (key, command, words) in [
        ("meta", "SET", vec!["x"]),
        ("spec", "HSET", vec!["a", "b"]),
        ("pending", "SET", vec!["x"]),
        ("claims", "SET", vec!["x"]),
        value("meta", ["jobs", "abc"]),
        value("meta", ["job_samples", "2"]),
        value("meta", ["job_samples", "-1"]),
        value("meta", ["samples", "-5"]),
        value("meta", ["lease", "abc"]),
    ] {
        let cluster = Cluster::new(&HalfSpaceSweep::default());
        let other = another(&cluster);
        let damaged = cluster.key(key);
        if command == "SET" || key == "spec" {
            let _ = cluster.redis(&["DEL", &damaged]);
        }
        let _ = cluster.redis(&[&[command, &damaged][..], &words].concat());
        let log_file = fs::File::create(cluster.dir.path("worker.log")).unwrap();
        let mut worker = cluster
            .worker_command(&[])
            .stderr(Stdio::from(log_file))
            .spawn()
            .unwrap();
        let log = || fs::read_to_string(cluster.dir.path("worker.log")).unwrap();
        let both = || cluster.json(&["status"]);
        let healthy = || {
            both()
                .as_array()
                .unwrap()
                .iter()
                .find(|sweep| sweep["sweep"] == *other)
                .cloned()
        };
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
        let refusals = || log().matches("refused, to be looked at again").count();
        // Workers detect some kinds of damage only after the damaged sweep has no more pending
        // jobs.
        while healthy().expect("the healthy sweep must be shown")["done"] != 48 || refusals() == 0 {
            assert!(
                std::time::Instant::now() < deadline,
                "{key} {words:?}: {}",
                log()
            );
            assert!(
                worker.try_wait().unwrap().is_none(),
                "{key} {words:?}: {}",
                log()
            );
        }
        assert!(
            refusals() <= 4,
            "{key} {words:?}: the refusal must not be logged repeatedly: {}",
            log()
        );
        assert!(log().contains(&cluster.sweep), "{}", log());
        signal("TERM", worker.id());
        assert_eq!(ended(&mut worker).0, 0, "{}", log());
        if command == "SET" && key == "meta" {
            let status = cluster.ask(&["status"]).expect(0);
            assert!(
                status.stdout.contains(&other) && status.stderr.contains(&cluster.sweep),
                "{status:?}"
            );
            let alone = run_to_end(&mut cluster.worker_command(&[
                "--exit-when-idle",
                "--sweep",
                &cluster.sweep,
            ]))
            .expect(2);
            assert!(alone.stderr.contains("WRONGTYPE"), "{}", alone.stderr);
        }
        cluster.shut_down();
    }
}
