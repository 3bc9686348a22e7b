//! Redis runs out of memory, and must not make room by itself.

use redis::Commands;

use super::process::wait_for;
use super::{Fsync, Lab, RedisServer, Scene, Worker};
use crate::{HalfSpace, TestDir, end};

/// Milliseconds that a lease lasts: long enough for a machine that is busy with other tests.
const LEASE_MS: u64 = 3000;

const FULL: &str = "times redis was out of memory for longer than a lease";
const REFUSED: &str = "requests that redis refused for want of memory";

/// Out of memory while jobs are leased: the leases outlive it, everybody waits, and all goes on
/// afterwards.
pub(super) fn run(lab: &mut Lab) {
    lab.announce(FULL, lab.pick(1, 10));
    lab.announce(REFUSED, lab.pick(2, 20));
    while lab.lacks(FULL) {
        let spec = HalfSpace {
            samples: 40,
            n: 20_000,
            lease: LEASE_MS / 1000,
            ..HalfSpace::default()
        };
        let mut scene = Scene::new(&spec, Fsync::EverySecond);
        let mut workers = vec![
            scene.worker(&["--exit-when-idle"]),
            scene.worker(&["--exit-when-idle"]),
        ];
        let mut connection = scene.redis.connection();
        wait_for("a lease", || {
            (!leases(&scene, &mut connection).is_empty()).then_some(())
        });

        set(&mut connection, "maxmemory", "1");
        let renewed = fill_up(&mut scene, &mut workers, &mut connection);
        set(&mut connection, "maxmemory", "0");

        for worker in workers {
            let name = worker.name.clone();
            let status = worker.wait();
            assert!(
                status.success(),
                "{name} ended with {status}: {}",
                scene.log_of(&name)
            );
        }
        assert_eq!(
            meta(&scene, &mut connection, "crashes"),
            0,
            "no job was taken from its worker"
        );
        lab.count(REFUSED, refused(&mut connection));
        lab.count(FULL, u64::from(renewed > 0));
        lab.count("leases renewed while memory was short", renewed);
        scene.check(lab);
    }
}

/// What must hold while memory is short: leases are renewed past their end, none is handed out or
/// taken away, nobody gives up, and looking and collecting work. Returns how many leases were
/// renewed.
fn fill_up(
    scene: &mut Scene,
    workers: &mut Vec<Worker>,
    connection: &mut redis::Connection,
) -> u64 {
    workers.push(scene.worker(&["--exit-when-idle"]));
    // A job whose last record was stored before is completed all the same; no other follows it.
    wait_for("refused requests", || {
        (refused(connection) >= 2).then_some(())
    });
    let held = leases(scene, connection);
    if held.is_empty() {
        return 0;
    }
    let fence = meta(scene, connection, "fence");
    wait_for("leases renewed for longer than a lease", || {
        let now = leases(scene, connection);
        for (job, deadline) in &held {
            let renewed = now
                .iter()
                .find(|(other, _)| other == job)
                .map(|(_, renewed)| *renewed);
            let renewed =
                renewed.or_else(|| is_completed(scene, connection, job).then_some(f64::INFINITY));
            let renewed = renewed.unwrap_or_else(|| panic!("the lease of job {job} is gone"));
            if renewed < deadline + LEASE_MS as f64 {
                return None;
            }
        }
        Some(())
    });
    assert_eq!(
        meta(scene, connection, "fence"),
        fence,
        "no job changed hands"
    );
    let _ = scene.status();
    let _ = scene
        .ask(&["collect", &scene.sweep, "--out", "out"])
        .expect(0);
    let left: u64 = redis::cmd("XLEN")
        .arg(scene.key("results"))
        .query(connection)
        .expect("an answer");
    assert_eq!(left, 0, "collecting makes room");
    for worker in workers {
        assert!(
            worker.ended().is_none(),
            "{} gave up: {}",
            worker.name,
            scene.log_of(&worker.name)
        );
    }
    held.len() as u64
}

/// A server that makes room by removing jobs is refused by everybody, with what to set.
pub(super) fn eviction(lab: &mut Lab) {
    const REFUSALS: &str = "programs that refused an evicting server";
    let policies = ["allkeys-lru", "allkeys-lfu", "allkeys-random"];
    lab.announce(REFUSALS, 3 * policies.len() as u64);
    for policy in policies {
        let dir = TestDir::new();
        let redis = RedisServer::start(
            &dir.path("redis"),
            Fsync::EverySecond,
            &["--maxmemory-policy", policy],
        );
        let _ = dir.half_space(&HalfSpace::default());
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
            let ended = end(program.args(arguments).env("DDRS_REDIS", redis.url()));
            let told = ended.stderr.contains(policy)
                && ended.stderr.contains("maxmemory-policy noeviction");
            assert!(
                ended.code != 0 && told,
                "{arguments:?} on {policy}: {ended:?}"
            );
            lab.count(REFUSALS, 1);
        }
        let keys: Vec<String> = redis.connection().keys("*").expect("an answer");
        assert!(keys.is_empty(), "nothing was written: {keys:?}");
    }
}

/// Leased jobs and their deadlines.
fn leases(scene: &Scene, connection: &mut redis::Connection) -> Vec<(String, f64)> {
    connection
        .zrange_withscores(scene.key("leases"), 0, -1)
        .expect("an answer")
}

fn is_completed(scene: &Scene, connection: &mut redis::Connection, job: &str) -> bool {
    connection
        .getbit(scene.key("completed"), job.parse().expect("a job number"))
        .expect("an answer")
}

fn meta(scene: &Scene, connection: &mut redis::Connection, field: &str) -> u64 {
    connection
        .hget::<_, _, Option<u64>>(scene.key("meta"), field)
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

/// How often the server answered OOM since it started.
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
