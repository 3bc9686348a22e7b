//! Tests that a machine on which every job fails does not use up the attempts of jobs.

use std::fs;
use std::process::{Command, Stdio};

use ddrs_tests::chaos::wait_for;
use ddrs_tests::{Cluster, TestDir, ended, run_to_end, write_half_space};

/// Writes a sweep over 40 pictures that take about 0.1 s each. A worker cannot finish that many
/// jobs while it waits twice between failures.
fn pictures(job_samples: u32, max_attempts: u32) -> TestDir {
    let dir = TestDir::new();
    for number in 0..40_u8 {
        let picture = image::RgbImage::from_fn(8, 8, |x, y| {
            image::Rgb([x as u8 * 9 + number, y as u8 * 5, number])
        });
        picture
            .save(dir.write(&format!("images/{}/{number:02}.png", number % 2), ""))
            .unwrap();
    }
    write_half_space(&dir.path("model.safetensors"), &[0.1; 3 * 8 * 8], -8.0);
    dir.write(
        "sweep.toml",
        format!(
            "name = \"pictures\"\nseed = 1\n\
             [dataset]\nformat = \"image-folder\"\npath = \"images\"\n\
         [[model]]\nname = \"plane\"\npath = \"model.safetensors\"\n\
         architecture = \"half-space\"\nclasses = 2\n\
         [smoothing]\nsigma = [0.5]\nchoice = [\"fixed\"]\n\
         [certify]\nn0 = 10\nn = 60_000\nalpha = 0.001\n\
         [queue]\njob-samples = {job_samples}\nmax-attempts = {max_attempts}\n"
        ),
    );
    dir
}

/// Sets the limit of open files of a process, as `SOFT:HARD`.
fn limit_open_files(pid: u32, limit: &str) {
    let set = Command::new("prlimit")
        .args([&format!("--nofile={limit}"), "--pid", &pid.to_string()])
        .status();
    assert!(
        set.is_ok_and(|status| status.success()),
        "prlimit failed; it is part of util-linux"
    );
}

#[test]
fn a_worker_that_was_killed_is_not_called_idle() {
    let cluster = Cluster::of(pictures(2, 2));
    let mut worker = cluster
        .worker_command(&["--name", "killed"])
        .spawn()
        .unwrap();
    let _: u64 = cluster.eventually(|status| status["workers"][0]["job"].as_u64());
    worker.kill().unwrap();
    worker.wait().unwrap();
    // The lease is removed, as after its expiry.
    let _ = cluster.redis(&["DEL", &cluster.key("leases")]);
    let line = || {
        let text = cluster.ask(&["status", &cluster.sweep]).expect(0).stdout;
        text.lines()
            .find(|line| line.contains(" killed "))
            .unwrap()
            .to_owned()
    };
    cluster.eventually(|_| {
        line()
            .contains("(lost, or at another sweep, last seen")
            .then_some(())
    });
    cluster.shut_down();
}

#[test]
fn a_worker_on_which_every_job_fails_stops_with_a_reason_and_another_does_its_jobs() {
    let cluster = Cluster::of(pictures(2, 2));
    let log = fs::File::create(cluster.dir.path("bad.log")).unwrap();
    let mut bad = cluster
        .worker_command(&["--name", "bad"])
        .stderr(Stdio::from(log))
        .spawn()
        .unwrap();
    cluster.eventually(|status| (status["done"].as_u64() > Some(0)).then_some(()));
    // From now on the worker can open no file, as after the loss of a mount.
    limit_open_files(bad.id(), "3:3");
    // A good worker that runs at the same time would finish the jobs while the bad one waits
    // between failures.
    let code = ended(&mut bad).0;
    let log_text = fs::read_to_string(cluster.dir.path("bad.log")).unwrap();
    assert_eq!(code, 1, "{log_text}");
    let _ =
        run_to_end(&mut cluster.worker_command(&["--name", "good", "--exit-when-idle"])).expect(0);
    assert!(
        log_text.contains("3 jobs in a row failed here, so the fault may be this machine's"),
        "{log_text}"
    );
    assert!(log_text.contains("Too many open files"), "{log_text}");
    let status = cluster.status();
    assert_eq!(
        (&status["done"], &status["dead"], &status["errors"]),
        (&40.into(), &0.into(), &3.into()),
        "{status}"
    );
    assert_eq!(
        status["workers"],
        serde_json::json!([]),
        "workers that have ended must not be listed"
    );
    cluster.shut_down();
}

#[test]
fn files_that_are_missing_for_a_moment_do_not_use_up_the_attempts() {
    let cluster = Cluster::of(pictures(20, 5));
    let mut worker = cluster.worker(&["--exit-when-idle"]);
    cluster.eventually(|status| (status["done"].as_u64() > Some(0)).then_some(()));
    limit_open_files(worker.id(), "3:");
    // The second job opens its files after the first has ended. Five attempts without pauses would
    // be used up long before the test observes two errors.
    cluster.eventually(|status| (status["errors"].as_u64() >= Some(2)).then_some(()));
    limit_open_files(worker.id(), "1024:");
    assert_eq!(ended(&mut worker).0, 0);
    let status = cluster.status();
    assert_eq!(
        (&status["done"], &status["dead"]),
        (&40.into(), &0.into()),
        "{status}"
    );
    cluster.shut_down();
}

#[test]
fn a_run_continues_after_data_is_missing_for_longer_than_a_worker_tolerates() {
    let dir = pictures(2, 5);
    let mut run = dir.coordinator();
    run.args(["run", "sweep.toml", "--out", "out"])
        .args(["--workers", "1", "--device", "cpu"]);
    let log = fs::File::create(dir.path("run.log")).unwrap();
    let mut run = run.stderr(log).spawn().unwrap();
    let read = |file: &str| fs::read_to_string(dir.path(file)).unwrap_or_default();
    wait_for("first record", || {
        (!read("out/records.jsonl").is_empty()).then_some(())
    });
    fs::rename(dir.path("images"), dir.path("away")).unwrap();
    // The worker stops after three failures, and the next ones cannot open the data.
    wait_for("second exit of a worker", || {
        (read("run.log")
            .matches("a worker ended; starting another")
            .count()
            > 1)
        .then_some(())
    });
    fs::rename(dir.path("away"), dir.path("images")).unwrap();
    assert_eq!(ended(&mut run).0, 0, "{}", read("run.log"));
    assert_eq!(dir.records("out").len(), 40);
}
