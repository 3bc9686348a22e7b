//! Tests how runs end: success, dead jobs, cancellation and signals. Also tests the next run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ddrs_common::queue::{JobState, PrivateServer, QueueClient, SweepQueue};
use ddrs_tests::{Cluster, HalfSpaceSweep, ProgramOutput, TestDir, ended, run_to_end, signal};

/// Writes a sweep of one sample that takes at least a second and has one attempt.
fn one_sample(dir: &TestDir) -> std::path::PathBuf {
    let shape = HalfSpaceSweep {
        samples: 1,
        n: 3_000_000,
        choice: r#"["fixed"]"#,
        ..HalfSpaceSweep::default()
    };
    let spec = dir.half_space(&shape);
    let text = fs::read_to_string(&spec).unwrap() + "max-attempts = 1\n";
    fs::write(&spec, text).unwrap();
    spec
}

/// Waits until a worker holds the one job of the private queue, and returns its process id.
async fn holder(dir: &TestDir) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut queue: Option<SweepQueue> = None;
    while Instant::now() < deadline {
        if queue.is_none() && dir.path("out/redis/redis.sock").exists() {
            let url = format!("unix://{}", dir.path("out/redis/redis.sock").display());
            if let Ok(client) = QueueClient::connect(&url).await {
                queue = client
                    .sweeps()
                    .await
                    .unwrap()
                    .first()
                    .map(|sweep| client.sweep(sweep));
            }
        }
        if let Some(queue) = &queue
            && let Ok(status) = queue.status().job(ddrs_common::domain::JobId(0)).await
            && let JobState::Leased { .. } = status.state
        {
            return worker_process(dir);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("no worker claimed the job within a minute")
}

/// Returns the process that writes the log of the first worker of a run.
fn worker_process(dir: &TestDir) -> u32 {
    let log = dir.path("out/logs/worker-0.log").canonicalize().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut ids =
        processes.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    ids.find(|id| fs::read_link(format!("/proc/{id}/fd/2")).is_ok_and(|target| target == log))
        .expect("a worker")
}

#[test]
fn dead_jobs_of_a_private_run_are_tried_again_by_the_next_run() {
    let dir = TestDir::new();
    let spec = one_sample(&dir);
    let mut command = dir.coordinator();
    command
        .arg("run")
        .arg(&spec)
        .args(["--out", "out", "--device", "cpu", "--workers", "1"]);
    let run = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    signal("KILL", runtime.block_on(holder(&dir)));
    let killed = ProgramOutput::from(run.wait_with_output().unwrap()).expect(3);
    let named = "sample 0 of plane/fixed/0.5 killed its worker once";
    assert!(
        killed.stderr.contains(named) && killed.stderr.contains("run again"),
        "{}",
        killed.stderr
    );
    let _ = dir.run(&spec, "out", 1).expect(0);
    assert_eq!(dir.records("out").len(), 1);
}

#[test]
fn a_finished_run_stops_the_server_that_an_earlier_run_left() {
    let dir = TestDir::new();
    let spec = dir.half_space(&HalfSpaceSweep::default());
    let _ = dir.run(&spec, "out", 1).expect(0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let left = runtime
        .block_on(PrivateServer::start(&dir.path("out/redis")))
        .unwrap();
    let socket = dir.path("out/redis/redis.sock");
    assert!(UnixStream::connect(&socket).is_ok());
    let _ = dir.run(&spec, "out", 1).expect(0);
    assert!(
        UnixStream::connect(&socket).is_err(),
        "the old server still listens"
    );
    drop(left);
}

#[test]
fn a_run_without_workers_needs_a_redis_that_workers_can_reach() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    let refused = run_to_end(cluster.dir.coordinator().args([
        "run",
        "sweep.toml",
        "--out",
        "out",
        "--workers",
        "0",
    ]))
    .expect(2);
    assert!(
        refused.stderr.contains("--workers 0") && refused.stderr.contains("--redis"),
        "{}",
        refused.stderr
    );
    let mut worker = cluster.worker(&["--exit-when-idle"]);
    let _ = cluster
        .ask(&["run", "sweep.toml", "--out", "out", "--workers", "0"])
        .expect(0);
    assert_eq!(ended(&mut worker).0, 0);
    assert_eq!(cluster.dir.records("out").len(), 48);
    cluster.shut_down();
}

#[test]
fn a_run_whose_redis_is_missing_creates_no_folder() {
    let dir = TestDir::new();
    let _ = dir.half_space(&HalfSpaceSweep::default());
    let socket = format!("unix://{}", dir.path("missing.sock").display());
    let _ = run_to_end(dir.coordinator().args([
        "run",
        "sweep.toml",
        "--out",
        "out",
        "--redis",
        &socket,
    ]))
    .expect(1);
    assert!(!dir.path("out").exists());
}

#[test]
fn a_cancelled_sweep_ends_its_run_and_the_status_watch() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    let start = |arguments: &[&str]| -> Child {
        cluster
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let run = start(&["run", "sweep.toml", "--out", "out", "--workers", "0"]);
    let collector = |name: &str| cluster.redis(&["HEXISTS", &cluster.key("meta"), name]) == ":1";
    cluster.eventually(|_| collector("collector").then_some(()));
    let watch = start(&["status", &cluster.sweep, "--watch"]);
    let _ = cluster.ask(&["cancel", &cluster.sweep]).expect(0);
    let run = ProgramOutput::from(run.wait_with_output().unwrap()).expect(3);
    assert!(
        run.stderr
            .contains("the sweep was cancelled, 48 samples have no record"),
        "{}",
        run.stderr
    );
    let watched = ProgramOutput::from(watch.wait_with_output().unwrap()).expect(0);
    assert!(watched.stdout.contains("(cancelled)"), "{}", watched.stdout);
    cluster.shut_down();
}

#[test]
fn a_worker_leaves_sweeps_alone_that_are_over_even_when_their_files_are_gone() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    let idle = || run_to_end(&mut cluster.worker_command(&["--exit-when-idle"]));
    let _ = idle().expect(0);
    let spec = fs::read_to_string(cluster.dir.path("sweep.toml")).unwrap();
    cluster
        .dir
        .write("second.toml", spec.replace("seed = 1", "seed = 2"));
    let second = cluster
        .ask(&["submit", "second.toml"])
        .expect(0)
        .stdout
        .trim()
        .to_owned();
    for file in ["inputs.safetensors", "model.safetensors"] {
        fs::rename(
            cluster.dir.path(file),
            cluster.dir.path(&format!("{file}.away")),
        )
        .unwrap();
    }
    let refused = idle().expect(2).stderr;
    assert!(
        refused.contains(&second) && !refused.contains(&cluster.sweep),
        "only sweeps with pending jobs may be opened: {refused}"
    );
    let _ = cluster.ask(&["cancel", &second]).expect(0);
    let left_alone = idle().expect(0).stderr;
    assert!(
        !left_alone.contains("ERROR") && !left_alone.contains("refused"),
        "{left_alone}"
    );
    // A finished sweep of another version must not cause an error either.
    let _ = cluster.redis(&["HSET", &cluster.key("meta"), "protocol", "999"]);
    let _ = cluster.redis(&["SET", &cluster.key("spec"), "{\"protocol\":999}"]);
    assert!(!idle().expect(0).stderr.contains("protocol"));
    for file in ["inputs.safetensors", "model.safetensors"] {
        fs::rename(
            cluster.dir.path(&format!("{file}.away")),
            cluster.dir.path(file),
        )
        .unwrap();
    }
    let _ = cluster.ask(&["submit", "second.toml"]).expect(0);
    let _ = idle().expect(0);
    assert_eq!(
        cluster.json(&["status", &second])["done"],
        48,
        "a sweep that is submitted again must be certified"
    );
    cluster.shut_down();
}

#[test]
fn a_worker_that_started_before_the_data_existed_serves_the_sweep_when_it_appears() {
    let cluster = Cluster::new(&HalfSpaceSweep::default());
    let here = cluster.dir.path("inputs.safetensors");
    let away = cluster.dir.path("away");
    fs::rename(&here, &away).unwrap();
    let log = fs::File::create(cluster.dir.path("worker.log")).unwrap();
    let mut worker = cluster
        .worker_command(&[])
        .stderr(Stdio::from(log))
        .spawn()
        .unwrap();
    let log_text = || fs::read_to_string(cluster.dir.path("worker.log")).unwrap();
    cluster.eventually(|_| {
        log_text()
            .contains("refused, to be looked at again")
            .then_some(())
    });
    fs::rename(&away, &here).unwrap();
    cluster.eventually(|status| (status["done"] == 48).then_some(()));
    signal("TERM", worker.id());
    assert_eq!(ended(&mut worker).0, 0);
    cluster.shut_down();
}

/// Waits until a program has handlers for SIGINT, SIGTERM and SIGUSR1.
fn wait_for_handlers(child: &Child) {
    let caught = || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap()
    };
    // The bits of signals 2, 10 and 15. Signal 1 has bit 0.
    let all = (1 << 1) | (1 << 9) | (1 << 14);
    let deadline = Instant::now() + Duration::from_secs(60);
    while caught() & all != all {
        assert!(
            Instant::now() < deadline,
            "the program installed no signal handlers"
        );
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Starts `run` and returns when it handles signals.
fn run_with_handlers(dir: &TestDir, spec: &str, out: &str, environment: &[(&str, &Path)]) -> Child {
    let mut command = dir.coordinator();
    command
        .args(["run", spec, "--out", out])
        .args(["--device", "cpu", "--workers", "1"])
        .envs(environment.iter().copied());
    let run = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    wait_for_handlers(&run);
    run
}

/// Checks that a run stopped after a signal and left no redis-server.
fn assert_interrupted(dir: &TestDir, run: Child, out: &str) {
    let ended = ProgramOutput::from(run.wait_with_output().unwrap()).expect(130);
    assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
    assert!(
        PrivateServer::find(&dir.path(out).join("redis"))
            .unwrap()
            .is_none(),
        "the redis-server of the run is left over"
    );
}

#[test]
fn a_run_can_be_stopped_at_any_moment_of_its_start() {
    let dir = TestDir::new();
    let _ = dir.half_space(&HalfSpaceSweep {
        n: 60_000,
        ..HalfSpaceSweep::default()
    });
    for (number, moment) in [0, 1, 2, 4, 6, 9, 13, 20, 35, 60, 100, 200, 500]
        .into_iter()
        .enumerate()
    {
        for name in ["INT", "TERM", "USR1"] {
            let out = format!("out-{number}-{name}");
            let run = run_with_handlers(&dir, "sweep.toml", &out, &[]);
            // The run may be at any step of its start after this time.
            std::thread::sleep(Duration::from_millis(moment));
            // The signal goes to all processes of the group, as from a terminal.
            let group = format!("-{}", run.id());
            assert!(
                Command::new("kill")
                    .args([&format!("-{name}"), "--", &group])
                    .status()
                    .unwrap()
                    .success()
            );
            assert_interrupted(&dir, run, &out);
        }
    }
}

#[test]
fn a_run_can_be_stopped_while_it_reads_its_specification() {
    let dir = TestDir::new();
    // No process writes to the pipe, so reading it never ends.
    assert!(
        Command::new("mkfifo")
            .arg(dir.path("sweep.toml"))
            .status()
            .unwrap()
            .success()
    );
    let run = run_with_handlers(&dir, "sweep.toml", "out", &[]);
    signal("TERM", run.id());
    assert_interrupted(&dir, run, "out");
}

#[test]
fn a_run_can_be_stopped_while_its_redis_does_not_get_ready() {
    let dir = TestDir::new();
    let _ = dir.half_space(&HalfSpaceSweep::default());
    let never = dir.write("never", "#!/bin/sh\ntouch started\nexec sleep 1000\n");
    fs::set_permissions(&never, fs::Permissions::from_mode(0o755)).unwrap();
    let run = run_with_handlers(&dir, "sweep.toml", "out", &[("DDRS_REDIS_SERVER", &never)]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !dir.path("out/redis/started").exists() {
        assert!(
            Instant::now() < deadline,
            "the server program was not started"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    signal("INT", run.id());
    assert_interrupted(&dir, run, "out");
}

#[test]
fn a_following_collector_that_is_stopped_leaves_reports_and_lets_others_collect() {
    let cluster = Cluster::new(&HalfSpaceSweep {
        n: 60_000,
        job_samples: 1,
        ..HalfSpaceSweep::default()
    });
    let mut worker = cluster.worker(&[]);
    cluster.eventually(|status| (status["done"].as_u64() > Some(0)).then_some(()));
    signal("TERM", worker.id());
    assert_eq!(ended(&mut worker).0, 0);
    assert_ne!(
        cluster.status()["pending"],
        0,
        "jobs must be left for the collector to follow"
    );
    for name in ["INT", "TERM", "USR1"] {
        let mut command = cluster.command(&["collect", &cluster.sweep, "--out", name, "--follow"]);
        let collect = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let collects = || cluster.redis(&["HEXISTS", &cluster.key("meta"), "collector"]) == ":1";
        let records = cluster.dir.path(name).join("records.jsonl");
        cluster.eventually(|_| {
            (collects() && fs::metadata(&records).is_ok_and(|file| file.len() > 0)).then_some(())
        });
        signal(name, collect.id());
        let ended = ProgramOutput::from(collect.wait_with_output().unwrap()).expect(130);
        assert!(ended.stdout.contains("samples are in"), "{}", ended.stdout);
        assert!(cluster.dir.path(name).join("report/table.txt").is_file());
        assert!(!collects(), "the collector must release its lock");
        // The next collector resumes from a copy of the records. The refusal of any other folder
        // tells the user to make one.
        let next = cluster.dir.path(match name {
            "INT" => "TERM",
            "TERM" => "USR1",
            _ => "last",
        });
        fs::create_dir(&next).unwrap();
        fs::copy(&records, next.join("records.jsonl")).unwrap();
    }
    cluster.work();
    let _ = cluster
        .ask(&["collect", &cluster.sweep, "--out", "last"])
        .expect(0);
    assert_eq!(cluster.dir.records("last").len(), 48);
    cluster.shut_down();
}
