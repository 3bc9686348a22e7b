//! The coordinator killed at every stage of collecting: before it has written what it read, between
//! writing and trimming (also with the batch torn, as by a loss of power before the sync), after
//! trimming; and `run` at any moment.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::checks::{check_records, reference};
use super::process::{processes_in, spawn_logged};
use super::test_sweep::write_spec;
use super::{ChaosContext, Fsync, TestSweep, chaos_sweep, wait_for};
use crate::{HalfSpaceSweep, TestDir};

const COLLECTORS: &str = "collectors killed";
const UNWRITTEN: &str = "of them before writing what was in redis";
const UNTRIMMED: &str = "of them after writing, before trimming";
const TORN: &str = "batches torn that were not trimmed yet";
const TRIMMED: &str = "of them after trimming";
const RUNS: &str = "runs killed";

/// From its start to its end a collector takes about this long.
const COLLECTING: Duration = Duration::from_millis(60);
/// Within this time a `run` is killed.
const RUNNING: Duration = Duration::from_millis(1500);

pub(super) fn run(context: &mut ChaosContext) {
    context.announce(COLLECTORS, context.pick(12, 300));
    for stage in [UNWRITTEN, UNTRIMMED, TORN, TRIMMED] {
        context.announce(stage, context.pick(1, 20));
    }
    while [COLLECTORS, UNWRITTEN, UNTRIMMED, TORN, TRIMMED]
        .iter()
        .any(|stage| context.lacks(stage))
    {
        kill_collectors(context);
    }
    context.announce(RUNS, context.pick(5, 100));
    while context.lacks(RUNS) {
        kill_runs(context);
    }
}

/// One sweep, whose collectors are killed while a worker goes on.
fn kill_collectors(context: &mut ChaosContext) {
    let mut sweep = TestSweep::new(&chaos_sweep(), Fsync::EverySecond);
    let mut connection = sweep.redis.connection();
    let worker = sweep.worker(&[]);
    let mut certified = 0;
    while certified < sweep.samples() {
        wait_for("record to collect", || {
            (!sweep.stream("results", &mut connection).is_empty()
                || done(&sweep, &mut connection) == sweep.samples())
            .then_some(())
        });
        certified = done(&sweep, &mut connection);
        let mut collector = if context.rng.random_bool(0.5) {
            let collector = start_collector(&sweep);
            sleep(context.moment(COLLECTING));
            collector
        } else {
            collector_before_trimming(&sweep, &mut connection)
        };
        if collector.try_wait().expect("a child").is_none() {
            collector
                .kill()
                .expect("a collector that was not waited for");
            context.count(COLLECTORS, 1);
        }
        collector.wait().expect("a dead collector");
        look(context, &sweep, &mut connection);
        redis::cmd("CLIENT")
            .arg("UNPAUSE")
            .exec(&mut connection)
            .expect("an answer");
    }
    drop(worker);
    sweep.work_to_the_end();
    sweep.check(context);
}

fn done(sweep: &TestSweep, connection: &mut redis::Connection) -> u64 {
    redis::cmd("BITCOUNT")
        .arg(sweep.key("done"))
        .query(connection)
        .expect("an answer")
}

fn start_collector(sweep: &TestSweep) -> Child {
    let mut command = sweep.dir.coordinator();
    command
        .args(["collect", &sweep.id, "--out", "out"])
        .env("DDRS_REDIS", sweep.redis.url());
    spawn_logged(&mut command, &sweep.dir.path("collect.log"))
}

/// A collector that has read what is in Redis, has been given the time to write it, and is kept
/// from trimming.
fn collector_before_trimming(sweep: &TestSweep, connection: &mut redis::Connection) -> Child {
    let mut monitor = TcpStream::connect(("127.0.0.1", sweep.redis.port())).expect("a connection");
    monitor.write_all(b"MONITOR\r\n").expect("a request");
    let mut commands = BufReader::new(monitor).lines();
    let _ok = commands.next();
    let mut collector = start_collector(sweep);
    let reads = |line: &str| {
        line.contains("\"XRANGE\"") && line.contains(":results\"") && line.contains("\"COUNT\"")
    };
    while !reads(&commands.next().expect("a command").expect("a line")) {}
    redis::cmd("CLIENT")
        .arg("PAUSE")
        .arg(10_000)
        .arg("WRITE")
        .exec(connection)
        .expect("an answer");
    wait_for("written batch", || {
        let written = unwritten(sweep, connection).is_empty();
        (written || collector.try_wait().expect("a child").is_some()).then_some(())
    });
    collector
}

/// What is in Redis and not in the file.
fn unwritten(sweep: &TestSweep, connection: &mut redis::Connection) -> Vec<String> {
    let text = fs::read_to_string(sweep.dir.path("out/records.jsonl")).unwrap_or_default();
    let written: BTreeSet<&str> = text.lines().collect();
    let results = sweep
        .stream("results", connection)
        .into_iter()
        .map(|mut result| result.remove("record").expect("a record"));
    results
        .filter(|record| !written.contains(record.as_str()))
        .collect()
}

/// Sees from what a dead collector left how far it had come, and tears what it had not trimmed.
fn look(context: &mut ChaosContext, sweep: &TestSweep, connection: &mut redis::Connection) {
    let path = sweep.dir.path("out/records.jsonl");
    let in_redis = sweep.stream("results", connection).len();
    let written = fs::read(&path).unwrap_or_default();
    if !unwritten(sweep, connection).is_empty() {
        context.count(UNWRITTEN, 1);
    } else if in_redis == 0 && !written.is_empty() {
        context.count(TRIMMED, 1);
    } else if in_redis > 0 {
        context.count(UNTRIMMED, 1);
        if context.rng.random_bool(0.5) {
            // All that is still in Redis may be missing from the disk, to the byte.
            let lines: Vec<&[u8]> = written.split_inclusive(|&byte| byte == b'\n').collect();
            let safe: usize = lines[..lines.len() - in_redis.min(lines.len())]
                .iter()
                .map(|line| line.len())
                .sum();
            let cut = context.rng.random_range(safe..written.len());
            fs::write(&path, &written[..cut]).expect("a file that can be cut");
            context.count(TORN, 1);
        }
    }
}

/// One sweep by `run` with a Redis of its own; the coordinator is killed and started again until it
/// gets to the end.
fn kill_runs(context: &mut ChaosContext) {
    let spec = HalfSpaceSweep {
        samples: context.pick(24, 48),
        ..chaos_sweep()
    };
    let dir = TestDir::new();
    write_spec(&dir, &spec);
    let start = || {
        let mut command = dir.coordinator();
        command.args([
            "run",
            "sweep.toml",
            "--out",
            "out",
            "--workers",
            "2",
            "--device",
            "cpu",
        ]);
        spawn_logged(&mut command, &dir.path("run.log"))
    };
    while context.lacks(RUNS) {
        let mut coordinator = start();
        let due = Instant::now() + context.moment(RUNNING);
        let ended = loop {
            match coordinator.try_wait().expect("a child") {
                None if Instant::now() < due => sleep(Duration::from_millis(2)),
                ended => break ended,
            }
        };
        let Some(status) = ended else {
            coordinator
                .kill()
                .expect("a coordinator that was not waited for");
            coordinator.wait().expect("a dead coordinator");
            context.count(RUNS, 1);
            continue;
        };
        assert!(
            status.success(),
            "run ended with {status}: {}",
            fs::read_to_string(dir.path("run.log")).unwrap_or_default()
        );
        break;
    }
    let _ = dir.run(&dir.path("sweep.toml"), "out", 2).expect(0);
    context.compared(check_records(&dir.path("out"), &reference(&spec)));
    wait_for("end of every process of the run", || {
        processes_in(dir.dir.path()).is_empty().then_some(())
    });
}
