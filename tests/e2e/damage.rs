//! One sweep that cannot be worked on, beside another that can.

use std::fs;
use std::process::Stdio;

use ddrs_tests::{Cluster, HalfSpaceSweep, ended, run_to_end, signal};

/// A second sweep beside the cluster's own.
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
fn a_damaged_sweep_keeps_no_worker_from_the_others_and_hides_none_of_them() {
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
        let log = fs::File::create(cluster.dir.path("worker.log")).unwrap();
        let mut worker = cluster
            .worker_command(&[])
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        let said = || fs::read_to_string(cluster.dir.path("worker.log")).unwrap();
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
        let refusals = || said().matches("refused, to be looked at again").count();
        // Some damage shows only when the damaged sweep has nothing more to hand out.
        while healthy().expect("the healthy sweep is shown")["done"] != 48 || refusals() == 0 {
            assert!(
                std::time::Instant::now() < deadline,
                "{key} {words:?}: {}",
                said()
            );
            assert!(
                worker.try_wait().unwrap().is_none(),
                "{key} {words:?}: {}",
                said()
            );
        }
        assert!(
            refusals() <= 4,
            "{key} {words:?}: said once, not again and again: {}",
            said()
        );
        assert!(said().contains(&cluster.sweep), "{}", said());
        signal("TERM", worker.id());
        assert_eq!(ended(&mut worker).0, 0, "{}", said());
        if command == "SET" && key == "meta" {
            let told = cluster.ask(&["status"]).expect(0);
            assert!(
                told.stdout.contains(&other) && told.stderr.contains(&cluster.sweep),
                "{told:?}"
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
