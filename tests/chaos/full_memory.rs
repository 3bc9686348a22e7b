//! Lets Redis run out of memory. Redis must not evict keys to make room.

use redis::Commands;

use super::process::wait_for;
use super::{ChaosContext, Fsync, RedisServer, TestSweep, TestWorker};
use crate::{HalfSpaceSweep, TestDir, run_to_end};

/// The duration of a lease in milliseconds. It suffices on a machine that is busy with other tests.
const LEASE_MS: u64 = 3000;

const FULL: &str = "times redis was out of memory for longer than a lease";
const REFUSED: &str = "requests that redis refused because memory was full";

/// Takes all memory while jobs are leased. Workers must keep their leases and wait, and must
/// continue when memory is available again.
pub(super) fn run(context: &mut ChaosContext) {
    context.announce(FULL, context.pick(1, 10));
    context.announce(REFUSED, context.pick(2, 20));
    while context.lacks(FULL) {
        let spec = HalfSpaceSweep {
            samples: 40,
            n: 20_000,
            lease: LEASE_MS / 1000,
            ..HalfSpaceSweep::default()
        };
        let mut sweep = TestSweep::new(&spec, Fsync::EverySecond);
        let mut workers = vec![
            sweep.worker(&["--exit-when-idle"]),
            sweep.worker(&["--exit-when-idle"]),
        ];
        let mut connection = sweep.redis.connection();
        wait_for("a lease", || {
            (!leases(&sweep, &mut connection).is_empty()).then_some(())
        });

        set(&mut connection, "maxmemory", "1");
        let renewed = check_full_memory(&mut sweep, &mut workers, &mut connection);
        set(&mut connection, "maxmemory", "0");

        for worker in workers {
            let name = worker.name.clone();
            let status = worker.wait();
            assert!(
                status.success(),
                "{name} ended with {status}: {}",
                sweep.log_of(&name)
            );
        }
        assert_eq!(
            meta(&sweep, &mut connection, "crashes"),
            0,
            "no job may be taken from its worker"
        );
        context.count(REFUSED, refused(&mut connection));
        context.count(FULL, u64::from(renewed > 0));
        context.count("leases renewed while memory was full", renewed);
        sweep.check(context);
    }
}

/// Checks the guarantees for full memory. Leases are renewed past their first deadline. No job is
/// claimed or taken from its worker. No worker gives up. `status` and `collect` work. Returns the
/// number of leases that were renewed.
fn check_full_memory(
    sweep: &mut TestSweep,
    workers: &mut Vec<TestWorker>,
    connection: &mut redis::Connection,
) -> u64 {
    workers.push(sweep.worker(&["--exit-when-idle"]));
    // A job whose last record was already stored can still be completed. No other job follows it.
    wait_for("refused requests", || {
        (refused(connection) >= 2).then_some(())
    });
    let held = leases(sweep, connection);
    if held.is_empty() {
        return 0;
    }
    let fence = meta(sweep, connection, "fence");
    wait_for("lease renewals for longer than one lease", || {
        let now = leases(sweep, connection);
        for (job, deadline) in &held {
            let renewed = now
                .iter()
                .find(|(other, _)| other == job)
                .map(|(_, renewed)| *renewed);
            let renewed =
                renewed.or_else(|| is_completed(sweep, connection, job).then_some(f64::INFINITY));
            let renewed = renewed.unwrap_or_else(|| panic!("the lease of job {job} disappeared"));
            if renewed < deadline + LEASE_MS as f64 {
                return None;
            }
        }
        Some(())
    });
    assert_eq!(
        meta(sweep, connection, "fence"),
        fence,
        "no job may be claimed while memory is full"
    );
    let _ = sweep.status();
    let _ = sweep.ask(&["collect", &sweep.id, "--out", "out"]).expect(0);
    let left: u64 = redis::cmd("XLEN")
        .arg(sweep.key("results"))
        .query(connection)
        .expect("an answer");
    assert_eq!(left, 0, "collecting must remove the results from redis");
    for worker in workers {
        assert!(
            worker.ended().is_none(),
            "{} gave up: {}",
            worker.name,
            sweep.log_of(&worker.name)
        );
    }
    held.len() as u64
}

/// Starts every program on a server that evicts keys. Each must refuse the server and say which
/// setting to change.
pub(super) fn eviction(context: &mut ChaosContext) {
    const REFUSALS: &str = "programs that refused an evicting server";
    let policies = ["allkeys-lru", "allkeys-lfu", "allkeys-random"];
    context.announce(REFUSALS, 3 * policies.len() as u64);
    for policy in policies {
        let dir = TestDir::new();
        let redis = RedisServer::start(
            &dir.path("redis"),
            Fsync::EverySecond,
            &["--maxmemory-policy", policy],
        );
        let _ = dir.half_space(&HalfSpaceSweep::default());
        for (program, arguments) in [
            (
                dir.coordinator(),
                &["run", "sweep.toml", "--out", "out", "--device", "cpu"][..],
            ),
            (dir.coordinator(), &["submit", "sweep.toml"]),
            (
                dir.worker(),
                &["run", "--device", "cpu", "--exit-when-idle"],
            ),
        ] {
            let mut program = program;
            let ended = run_to_end(program.args(arguments).env("DDRS_REDIS", redis.url()));
            let explained = ended.stderr.contains(policy)
                && ended.stderr.contains("maxmemory-policy noeviction");
            assert!(
                ended.code != 0 && explained,
                "{arguments:?} on {policy}: {ended:?}"
            );
            context.count(REFUSALS, 1);
        }
        let keys: Vec<String> = redis.connection().keys("*").expect("an answer");
        assert!(keys.is_empty(), "the refusing programs wrote {keys:?}");
    }
}

/// Returns the leased jobs and their deadlines.
fn leases(sweep: &TestSweep, connection: &mut redis::Connection) -> Vec<(String, f64)> {
    connection
        .zrange_withscores(sweep.key("leases"), 0, -1)
        .expect("an answer")
}

fn is_completed(sweep: &TestSweep, connection: &mut redis::Connection, job: &str) -> bool {
    connection
        .getbit(sweep.key("completed"), job.parse().expect("a job number"))
        .expect("an answer")
}

fn meta(sweep: &TestSweep, connection: &mut redis::Connection, field: &str) -> u64 {
    connection
        .hget::<_, _, Option<u64>>(sweep.key("meta"), field)
        .expect("an answer")
        .unwrap_or(0)
}

fn set(connection: &mut redis::Connection, setting: &str, value: &str) {
    redis::cmd("CONFIG")
        .arg("SET")
        .arg(setting)
        .arg(value)
        .exec(connection)
        .expect("a setting");
}

/// Returns the number of OOM errors since the server started.
fn refused(connection: &mut redis::Connection) -> u64 {
    let info: String = redis::cmd("INFO")
        .arg("errorstats")
        .query(connection)
        .expect("an answer");
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("errorstat_OOM:count="));
    line.map_or(0, |count| count.trim().parse().expect("a count"))
}
