//! How runs end, and what a later one finds.

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use ddrs_common::queue::{JobState, PrivateServer, QueueClient, SweepQueue};
use ddrs_tests::{Cluster, Ended, HalfSpace, TestDir, end, ended, signal};

/// One sample, a second or more of work, and one attempt.
fn one_sample(dir: &TestDir) -> std::path::PathBuf {
    let shape = HalfSpace { samples: 1, n: 3_000_000, choice: r#"["fixed"]"#, ..HalfSpace::default() };
    let spec = dir.half_space(&shape);
    let text = fs::read_to_string(&spec).unwrap() + "max-attempts = 1\n";
    fs::write(&spec, text).unwrap();
    spec
}

/// The worker that holds the one job of a run's private queue, by its process.
async fn holder(dir: &TestDir) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut queue: Option<SweepQueue> = None;
    while Instant::now() < deadline {
        if queue.is_none() && dir.path("out/redis/redis.sock").exists() {
            let url = format!("unix://{}", dir.path("out/redis/redis.sock").display());
            if let Ok(client) = QueueClient::connect(&url).await {
                queue = client.sweeps().await.unwrap().first().map(|sweep| client.sweep(sweep));
            }
        }
        if let Some(queue) = &queue
            && let Ok(status) = queue.job_status(ddrs_common::domain::JobId(0)).await
            && let JobState::Leased { .. } = status.state
        {
            return worker_process(dir);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("no worker took the job")
}

/// The process that writes the log of the first worker of a run.
fn worker_process(dir: &TestDir) -> u32 {
    let log = dir.path("out/logs/worker-0.log").canonicalize().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    ids.find(|id| fs::read_link(format!("/proc/{id}/fd/2")).is_ok_and(|target| target == log)).expect("a worker")
}

#[test]
fn dead_jobs_of_a_private_run_are_tried_again_by_the_next_run() {
    let dir = TestDir::new();
    let spec = one_sample(&dir);
    let mut command = dir.coordinator();
    command.arg("run").arg(&spec).args(["--out", "out", "--device", "cpu", "--workers", "1"]);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    signal("KILL", runtime.block_on(holder(&dir)));
    let killed = Ended::from(run.wait_with_output().unwrap()).expect(3);
    let named = "sample 0 of plane/fixed/0.5 killed its worker once";
    assert!(killed.stderr.contains(named) && killed.stderr.contains("run again"), "{}", killed.stderr);
    let _ = dir.run(&spec, "out", 1).expect(0);
    assert_eq!(dir.records("out").len(), 1);
}

#[test]
fn a_finished_run_stops_the_server_that_an_earlier_one_left_behind() {
    let dir = TestDir::new();
    let spec = dir.half_space(&HalfSpace::default());
    let _ = dir.run(&spec, "out", 1).expect(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let left = runtime.block_on(PrivateServer::start(&dir.path("out/redis"))).unwrap();
    let socket = dir.path("out/redis/redis.sock");
    assert!(UnixStream::connect(&socket).is_ok());
    let _ = dir.run(&spec, "out", 1).expect(0);
    assert!(UnixStream::connect(&socket).is_err(), "it still listens");
    drop(left);
}

#[test]
fn a_run_without_workers_needs_a_redis_that_others_reach() {
    let cluster = Cluster::new(&HalfSpace::default());
    let none = end(cluster.dir.coordinator().args(["run", "sweep.toml", "--out", "out", "--workers", "0"])).expect(2);
    assert!(none.stderr.contains("--workers 0") && none.stderr.contains("--redis"), "{}", none.stderr);
    let mut worker = cluster.worker(&["--exit-when-idle"]);
    let _ = cluster.ask(&["run", "sweep.toml", "--out", "out", "--workers", "0"]).expect(0);
    assert_eq!(ended(&mut worker).0, 0);
    assert_eq!(cluster.dir.records("out").len(), 48);
    cluster.end();
}

#[test]
fn a_cancelled_sweep_ends_its_run_and_those_who_watch_it() {
    let cluster = Cluster::new(&HalfSpace::default());
    let start = |arguments: &[&str]| -> Child {
        cluster.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let run = start(&["run", "sweep.toml", "--out", "out", "--workers", "0"]);
    let collector = |name: &str| cluster.redis(&["HEXISTS", &cluster.key("meta"), name]) == ":1";
    cluster.eventually(|_| collector("collector").then_some(()));
    let watch = start(&["status", &cluster.sweep, "--watch"]);
    let _ = cluster.ask(&["cancel", &cluster.sweep]).expect(0);
    let run = Ended::from(run.wait_with_output().unwrap()).expect(3);
    assert!(run.stderr.contains("the sweep was cancelled, 48 samples have no record"), "{}", run.stderr);
    let watched = Ended::from(watch.wait_with_output().unwrap()).expect(0);
    assert!(watched.stdout.contains("(cancelled)"), "{}", watched.stdout);
    cluster.end();
}

#[test]
fn a_worker_leaves_sweeps_alone_that_are_over_even_when_their_files_are_gone() {
    let cluster = Cluster::new(&HalfSpace::default());
    let idle = || end(&mut cluster.worker_command(&["--exit-when-idle"]));
    let _ = idle().expect(0);
    let spec = fs::read_to_string(cluster.dir.path("sweep.toml")).unwrap();
    cluster.dir.write("second.toml", spec.replace("seed = 1", "seed = 2"));
    let second = cluster.ask(&["submit", "second.toml"]).expect(0).stdout.trim().to_owned();
    for file in ["inputs.safetensors", "model.safetensors"] {
        fs::rename(cluster.dir.path(file), cluster.dir.path(&format!("{file}.away"))).unwrap();
    }
    let refused = idle().expect(2).stderr;
    assert!(refused.contains(&second) && !refused.contains(&cluster.sweep), "only what waits is opened: {refused}");
    let _ = cluster.ask(&["cancel", &second]).expect(0);
    let left_alone = idle().expect(0).stderr;
    assert!(!left_alone.contains("ERROR") && !left_alone.contains("refused"), "{left_alone}");
    // A sweep of another version that is over is nobody's trouble either.
    let _ = cluster.redis(&["HSET", &cluster.key("meta"), "protocol", "999"]);
    let _ = cluster.redis(&["SET", &cluster.key("spec"), "{\"protocol\":999}"]);
    assert!(!idle().expect(0).stderr.contains("protocol"));
    for file in ["inputs.safetensors", "model.safetensors"] {
        fs::rename(cluster.dir.path(&format!("{file}.away")), cluster.dir.path(file)).unwrap();
    }
    let _ = cluster.ask(&["submit", "second.toml"]).expect(0);
    let _ = idle().expect(0);
    assert_eq!(cluster.json(&["status", &second])["done"], 48, "taken up again, it is worked on");
    cluster.end();
}

#[test]
fn a_worker_that_came_before_its_data_serves_the_sweep_once_they_are_there() {
    let cluster = Cluster::new(&HalfSpace::default());
    let (here, away) = (cluster.dir.path("inputs.safetensors"), cluster.dir.path("away"));
    fs::rename(&here, &away).unwrap();
    let log = fs::File::create(cluster.dir.path("worker.log")).unwrap();
    let mut worker = cluster.worker_command(&[]).stderr(Stdio::from(log)).spawn().unwrap();
    let said = || fs::read_to_string(cluster.dir.path("worker.log")).unwrap();
    cluster.eventually(|_| said().contains("refused, to be looked at again").then_some(()));
    fs::rename(&away, &here).unwrap();
    cluster.eventually(|status| (status["done"] == 48).then_some(()));
    signal("TERM", worker.id());
    assert_eq!(ended(&mut worker).0, 0);
    cluster.end();
}
