//! Kills the coordinator at each stage of collecting: before it has written the records that it
//! read, between writing and trimming, and after trimming. Some kills also tear the written batch,
//! as a loss of power before the sync would. `run` is killed at random moments.

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
const UNWRITTEN: &str = "of them before writing the records in redis";
const UNTRIMMED: &str = "of them after writing, before trimming";
const TORN: &str = "batches torn before they were trimmed";
const TRIMMED: &str = "of them after trimming";
const RUNS: &str = "`run` processes killed";

/// The approximate duration of one `collect`.
const COLLECTING: Duration = Duration::from_millis(60);
/// A `run` is killed within this time.
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

/// Runs one sweep and kills its collectors while a worker continues.
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
                .expect("a collector that was not yet waited for");
            context.count(COLLECTORS, 1);
        }
        collector.wait().expect("a dead collector");
        count_stage(context, &sweep, &mut connection);
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

/// Starts a collector and pauses writes to Redis once it has read the results. Returns when it has
/// written the records or has ended. It cannot trim until the pause ends.
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

/// Returns the records that are in Redis and not in the file.
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

/// Counts the stage at which a collector was killed, judged by what it left. In half of the cases,
/// tears records that were written and not trimmed.
fn count_stage(context: &mut ChaosContext, sweep: &TestSweep, connection: &mut redis::Connection) {
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
            // Any suffix of the records that are still in Redis may be missing from the disk.
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

fn start_run(dir: &TestDir) -> Child {
    let mut command = dir.coordinator();
    command
        .args(["run", "sweep.toml", "--out", "out"])
        .args(["--workers", "2", "--device", "cpu"]);
    spawn_logged(&mut command, &dir.path("run.log"))
}

/// Runs one sweep with `run`, which starts a private Redis. The coordinator is killed and restarted
/// until it finishes.
fn kill_runs(context: &mut ChaosContext) {
    let spec = HalfSpaceSweep {
        samples: context.pick(24, 48),
        ..chaos_sweep()
    };
    let dir = TestDir::new();
    write_spec(&dir, &spec);
    while context.lacks(RUNS) {
        let mut coordinator = start_run(&dir);
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
                .expect("a coordinator that was not yet waited for");
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
