//! Tests concurrent collectors and submissions, several sweeps, and programs of other versions.

use std::fs;
use std::process::{Child, Stdio};

use ddrs_common::queue::PROTOCOL;
use ddrs_tests::{Cluster, HalfSpaceSweep, ProgramOutput, ended, run_to_end, signal};

/// Returns a sweep that takes at least a second, so that other commands run during it.
fn slow() -> HalfSpaceSweep {
    HalfSpaceSweep {
        n: 60_000,
        job_samples: 1,
        ..HalfSpaceSweep::default()
    }
}

/// Starts a command and keeps its output.
fn start(cluster: &Cluster, arguments: &[&str]) -> Child {
    cluster
        .command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait(child: Child) -> ProgramOutput {
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_second_collector_is_refused_while_the_first_is_running() {
    let cluster = Cluster::new(&HalfSpaceSweep {
        n: 400_000,
        ..slow()
    });
    let first = start(
        &cluster,
        &["collect", &cluster.sweep, "--out", "first", "--follow"],
    );
    let mut worker = cluster.worker(&["--exit-when-idle"]);
    cluster.eventually(|status| {
        (status["done"].as_u64() > Some(0) && status["uncollected"] == 0).then_some(())
    });
    let other = cluster
        .ask(&["collect", &cluster.sweep, "--out", "second"])
        .expect(1);
    assert!(
        other.stderr.contains("first is collecting this sweep"),
        "{}",
        other.stderr
    );
    let same = cluster
        .ask(&["collect", &cluster.sweep, "--out", "first"])
        .expect(1);
    assert!(same.stderr.contains("records.jsonl"), "{}", same.stderr);
    assert_eq!(ended(&mut worker).0, 0);
    let _ = wait(first).expect(0);
    assert_eq!(cluster.dir.records("first").len(), 48);
    cluster.shut_down();
}

#[test]
fn concurrent_collectors_lose_nothing_and_write_to_one_folder() {
    let cluster = Cluster::new(&slow());
    let mut worker = cluster.worker(&["--exit-when-idle"]);
    let mut collected = 0;
    loop {
        let working = worker.try_wait().unwrap().is_none();
        let racers =
            ["a", "b", "a"].map(|out| start(&cluster, &["collect", &cluster.sweep, "--out", out]));
        let ends = racers.map(wait);
        assert!(
            ends.iter().all(|end| [0, 1].contains(&end.code)),
            "{ends:?}"
        );
        collected += ends.iter().filter(|end| end.code == 0).count();
        if !working {
            break;
        }
    }
    assert!(collected > 0, "no collector succeeded");
    let [a, b] = ["a", "b"].map(|out| cluster.dir.records(out).len());
    let winner = if a > b { "a" } else { "b" };
    assert_eq!(a.min(b), 0, "all records must be in one folder");
    let _ = cluster
        .ask(&["collect", &cluster.sweep, "--out", winner])
        .expect(0);
    assert_eq!(cluster.dir.records(winner).len(), 48);
    cluster.shut_down();
}

#[test]
fn a_sweep_submitted_many_times_at_once_exists_once() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    let _ = cluster.redis(&["FLUSHALL"]);
    let submissions: Vec<Child> = (0..6)
        .map(|_| start(&cluster, &["submit", "sweep.toml"]))
        .collect();
    for submission in submissions {
        assert_eq!(wait(submission).expect(0).stdout.trim(), cluster.sweep);
    }
    let status = cluster.status();
    assert_eq!(
        (&status["samples"], &status["pending"]),
        (&48.into(), &16.into()),
        "{status}"
    );
    assert_eq!(cluster.redis(&["LLEN", &cluster.key("pending")]), ":16");
    cluster.work();
    assert_eq!(cluster.status()["done"], 48);
    cluster.shut_down();
}

#[test]
fn two_sweeps_share_a_worker_fairly() {
    let cluster = Cluster::new(&slow());
    let text = fs::read_to_string(cluster.dir.path("sweep.toml"))
        .unwrap()
        .replace("seed = 1", "seed = 2");
    cluster.dir.write("other.toml", text);
    let other = cluster
        .ask(&["submit", "other.toml"])
        .expect(0)
        .stdout
        .trim()
        .to_owned();
    let mut worker = cluster.worker(&[]);
    // Both sweeps are read at once, when the first of them is half done.
    let counts = cluster.eventually(|_| {
        let both = cluster.json(&["status"]);
        let done: Vec<u64> = both
            .as_array()?
            .iter()
            .map(|sweep| sweep["done"].as_u64().unwrap_or(0))
            .collect();
        done.iter().any(|&done| done >= 24).then_some(done)
    });
    assert!(
        counts.len() == 2 && counts.iter().all(|&done| done >= 12),
        "{counts:?} of 48 each"
    );
    for sweep in [&cluster.sweep, &other] {
        cluster.eventually(|_| (cluster.json(&["status", sweep])["done"] == 48).then_some(()));
    }
    signal("TERM", worker.id());
    assert_eq!(ended(&mut worker).0, 0);
    cluster.shut_down();
}

#[test]
fn programs_of_other_versions_are_refused_with_both_versions() {
    for theirs in [PROTOCOL - 1, PROTOCOL + 1] {
        let cluster = Cluster::new(&HalfSpaceSweep::default());
        let says_both = |ended: ProgramOutput| {
            let both = [theirs, PROTOCOL]
                .iter()
                .all(|version| ended.stderr.contains(&version.to_string()));
            assert!(
                both && ended.stderr.contains("protocol"),
                "{}",
                ended.stderr
            );
        };
        let worker = || run_to_end(&mut cluster.worker_command(&["--exit-when-idle"])).expect(2);
        let _ = cluster.redis(&[
            "HSET",
            &cluster.key("meta"),
            "protocol",
            &theirs.to_string(),
        ]);
        // First only the queue has another version, then also the description of the sweep.
        says_both(worker());
        says_both(cluster.ask(&["submit", "sweep.toml"]).expect(1));
        let _ = cluster.redis(&[
            "SET",
            &cluster.key("spec"),
            &format!("{{\"protocol\":{theirs},\"new\":1}}"),
        ]);
        says_both(worker());
        for command in [
            &["status"][..],
            &["retry"],
            &["cancel"],
            &["collect", "--out", "x"],
        ] {
            says_both(
                cluster
                    .ask(&[command, &[&cluster.sweep]].concat())
                    .expect(2),
            );
        }
        assert_eq!(
            cluster.redis(&["LLEN", &cluster.key("pending")]),
            ":16",
            "no job may be claimed"
        );
        cluster.shut_down();
    }
}

#[test]
fn a_server_that_evicts_is_refused_at_every_start_with_the_setting_to_change() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    let _ = cluster.redis(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let worker = run_to_end(&mut cluster.worker_command(&["--exit-when-idle"]));
    let submit = cluster.ask(&["submit", "sweep.toml"]);
    let run = cluster.ask(&[
        "run",
        "sweep.toml",
        "--out",
        "out",
        "--redis",
        &cluster.server.url(),
    ]);
    for ended in [worker, submit, run] {
        assert!(
            ended.code == 1 && ended.stderr.contains("maxmemory-policy noeviction"),
            "{ended:?}"
        );
    }
    assert_eq!(cluster.redis(&["LLEN", &cluster.key("pending")]), ":16");
    cluster.shut_down();
}

#[test]
fn workers_wait_for_a_full_server_and_continue_when_memory_is_free() {
    let cluster = Cluster::new(&HalfSpaceSweep { lease: 1, ..slow() });
    let limit =
        |bytes: &str| assert_eq!(cluster.redis(&["CONFIG", "SET", "maxmemory", bytes]), "+OK");
    let deadline = || -> Option<u64> {
        let first = "return redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] or ''";
        cluster
            .redis(&["EVAL", first, "1", &cluster.key("leases")])
            .parse()
            .ok()
    };
    let mut worker = cluster.worker(&["--exit-when-idle"]);
    // Memory must be full while a job is leased. If no job was leased, the loop tries again.
    loop {
        cluster.eventually(|status| (status["leased"] == 1).then_some(()));
        limit("1");
        let _ = cluster.redis(&["SCRIPT", "FLUSH"]);
        let Some(before) = deadline() else {
            limit("0");
            continue;
        };
        // Either the lease of one second is renewed for two more seconds, or the job has ended and
        // no other one can be claimed.
        let renewed = cluster.eventually(|_| match deadline() {
            Some(now) => (now > before + 2000).then_some(true),
            None => Some(false),
        });
        if renewed {
            break;
        }
        limit("0");
    }
    limit("0");
    assert_eq!(ended(&mut worker).0, 0);
    let status = cluster.status();
    assert_eq!(
        (&status["done"], &status["crashes"], &status["errors"]),
        (&48.into(), &0.into(), &0.into()),
        "{status}"
    );
    cluster.shut_down();
}
