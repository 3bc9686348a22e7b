//! A machine on which every job fails takes no job down with it.

use std::fs;
use std::process::{Command, Stdio};

use ddrs_tests::chaos::wait_for;
use ddrs_tests::{Cluster, TestDir, ended, run_to_end, write_half_space};

/// Forty pictures, of which each takes a tenth of a second or so: more jobs than a worker does that
/// rests twice between failures.
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
            "name = \"pictures\"\nseed = 1\n[dataset]\nformat = \"image-folder\"\npath = \"images\"\n\
         [[model]]\nname = \"plane\"\npath = \"model.safetensors\"\narchitecture = \"half-space\"\nclasses = 2\n\
         [smoothing]\nsigma = [0.5]\nchoice = [\"fixed\"]\n[certify]\nn0 = 10\nn = 60_000\nalpha = 0.001\n\
         [queue]\njob-samples = {job_samples}\nmax-attempts = {max_attempts}\n"
        ),
    );
    dir
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
    // As if its lease had run out already.
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
fn a_worker_whose_every_job_fails_stops_and_says_why_and_another_does_its_jobs() {
    let cluster = Cluster::of(pictures(2, 2));
    let log = fs::File::create(cluster.dir.path("bad.log")).unwrap();
    let mut bad = cluster
        .worker_command(&["--name", "bad"])
        .stderr(Stdio::from(log))
        .spawn()
        .unwrap();
    cluster.eventually(|status| (status["done"].as_u64() > Some(0)).then_some(()));
    // From now on it can open no file: as bad as a mount that is gone.
    let limit = Command::new("prlimit")
        .args(["--nofile=3:3", "--pid", &bad.id().to_string()])
        .status();
    assert!(
        limit.is_ok_and(|status| status.success()),
        "prlimit is part of util-linux"
    );
    // A good one beside it would leave it nothing to fail at while it rests between failures.
    let code = ended(&mut bad).0;
    let said = fs::read_to_string(cluster.dir.path("bad.log")).unwrap();
    assert_eq!(code, 1, "{said}");
    let _ =
        run_to_end(&mut cluster.worker_command(&["--name", "good", "--exit-when-idle"])).expect(0);
    assert!(
        said.contains("3 jobs in a row failed here, so the fault may be this machine's"),
        "{said}"
    );
    assert!(said.contains("Too many open files"), "{said}");
    let status = cluster.status();
    assert_eq!(
        (&status["done"], &status["dead"], &status["errors"]),
        (&40.into(), &0.into(), &3.into()),
        "{status}"
    );
    assert_eq!(
        status["workers"],
        serde_json::json!([]),
        "who has ended is not listed"
    );
    cluster.shut_down();
}

#[test]
fn files_that_are_away_for_a_moment_do_not_use_up_the_attempts() {
    let cluster = Cluster::of(pictures(20, 5));
    let mut worker = cluster.worker(&["--exit-when-idle"]);
    let files = |limit: &str| {
        let set = Command::new("prlimit")
            .args([
                &format!("--nofile={limit}:"),
                "--pid",
                &worker.id().to_string(),
            ])
            .status();
        assert!(
            set.is_ok_and(|status| status.success()),
            "prlimit is part of util-linux"
        );
    };
    cluster.eventually(|status| (status["done"].as_u64() > Some(0)).then_some(()));
    files("3");
    // The second job opens its files when the first is done. Five attempts in a row would be over
    // long before this can be seen.
    cluster.eventually(|status| (status["errors"].as_u64() >= Some(2)).then_some(()));
    files("1024");
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
fn a_run_outlasts_data_that_is_away_for_longer_than_a_worker_bears() {
    let dir = pictures(2, 5);
    let mut run = dir.coordinator();
    run.args([
        "run",
        "sweep.toml",
        "--out",
        "out",
        "--workers",
        "1",
        "--device",
        "cpu",
    ]);
    let log = fs::File::create(dir.path("run.log")).unwrap();
    let mut run = run.stderr(log).spawn().unwrap();
    let read = |file: &str| fs::read_to_string(dir.path(file)).unwrap_or_default();
    wait_for("first record", || {
        (!read("out/records.jsonl").is_empty()).then_some(())
    });
    fs::rename(dir.path("images"), dir.path("away")).unwrap();
    // The worker gives this machine up, and the next ones find no data to open.
    wait_for("second death", || {
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
