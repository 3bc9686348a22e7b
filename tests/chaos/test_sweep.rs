//! A submitted sweep with its Redis, and the checks that every case ends with.

use std::collections::{BTreeMap, BTreeSet};

use redis::Commands;
use serde_json::Value;

use super::checks::{check_records, reference};
use super::full_disk::SmallDisk;
use super::process::processes_in;
use super::{ChaosContext, Fsync, RedisServer, TestWorker};
use crate::{HalfSpaceSweep, ProgramOutput, TestDir, run_to_end};

/// Returns the sweep of most cases: 48 samples of two variants in 16 jobs, with leases of one
/// second. Its jobs take long enough for a fault to happen during one.
#[must_use]
pub fn chaos_sweep() -> HalfSpaceSweep {
    HalfSpaceSweep {
        n: 20_000,
        lease: 1,
        ..HalfSpaceSweep::default()
    }
}

/// A folder, a Redis server, and a sweep that was submitted to it.
pub struct TestSweep {
    /// File systems mounted in the folder. The order of the fields drops them before the folder.
    pub(super) disks: Vec<SmallDisk>,
    /// Contains `sweep.toml`, the files that it names, logs of workers, `redis/`, and later `out/`.
    pub dir: TestDir,
    /// The server that holds the queue.
    pub redis: RedisServer,
    /// The id of the sweep.
    pub id: String,
    spec: HalfSpaceSweep,
    workers_started: u32,
}

impl TestSweep {
    /// Starts a server and submits the sweep. A job may crash up to 1000 workers.
    #[must_use]
    pub fn new(spec: &HalfSpaceSweep, fsync: Fsync) -> Self {
        let dir = TestDir::new();
        let redis = RedisServer::start(&dir.path("redis"), fsync, &[]);
        Self::on(dir, redis, spec)
    }

    /// Submits the sweep to a running server.
    #[must_use]
    pub fn on(dir: TestDir, redis: RedisServer, spec: &HalfSpaceSweep) -> Self {
        write_spec(&dir, spec);
        let submitted = run_to_end(
            dir.coordinator()
                .args(["submit", "sweep.toml"])
                .env("DDRS_REDIS", redis.url()),
        )
        .expect(0);
        let id = submitted.stdout.trim().to_owned();
        Self {
            disks: Vec::new(),
            dir,
            redis,
            id,
            spec: spec.clone(),
            workers_started: 0,
        }
    }

    /// Runs a command of the coordinator on this Redis.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> ProgramOutput {
        run_to_end(
            self.dir
                .coordinator()
                .args(arguments)
                .env("DDRS_REDIS", self.redis.url()),
        )
    }

    /// Returns the output of `status` for the sweep.
    #[must_use]
    pub fn status(&self) -> Value {
        let output = self
            .ask(&["status", &self.id, "--format", "json"])
            .expect(0);
        serde_json::from_str(&output.stdout).expect("JSON")
    }

    /// Starts a worker with a new name.
    pub fn worker(&mut self, more: &[&str]) -> TestWorker {
        let url = self.redis.url();
        self.worker_at(&url, more)
    }

    /// Starts a worker that connects to Redis at another address, such as that of a proxy.
    pub fn worker_at(&mut self, url: &str, more: &[&str]) -> TestWorker {
        self.workers_started += 1;
        TestWorker::start(
            &self.dir,
            url,
            &format!("worker-{}", self.workers_started),
            more,
        )
    }

    /// Starts a worker with additional environment variables.
    pub fn worker_in(&mut self, environment: &[(&str, String)], more: &[&str]) -> TestWorker {
        self.workers_started += 1;
        let name = format!("worker-{}", self.workers_started);
        TestWorker::start_in(&self.dir, &self.redis.url(), &name, environment, more)
    }

    /// Returns the number of samples of all variants together.
    #[must_use]
    pub fn samples(&self) -> u64 {
        2 * self.spec.samples as u64
    }

    /// Returns the full name of a key of the sweep.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("ddrs:{{{}}}:{name}", self.id)
    }

    /// Returns the entries of a stream of the sweep, `results` or `events`.
    #[must_use]
    pub fn stream(
        &self,
        name: &str,
        connection: &mut redis::Connection,
    ) -> Vec<BTreeMap<String, String>> {
        let mut command = redis::cmd("XRANGE");
        let entries = command
            .arg(self.key(name))
            .arg("-")
            .arg("+")
            .query::<Vec<(String, BTreeMap<_, _>)>>(connection);
        entries
            .expect("an answer")
            .into_iter()
            .map(|(_, fields)| fields)
            .collect()
    }

    /// Starts two workers and waits until they have finished the sweep.
    pub fn work_to_the_end(&mut self) {
        let workers = [
            self.worker(&["--exit-when-idle"]),
            self.worker(&["--exit-when-idle"]),
        ];
        for worker in workers {
            let name = worker.name.clone();
            let status = worker.wait();
            assert!(
                status.success(),
                "{name} ended with {status}: {}",
                self.log_of(&name)
            );
        }
    }

    /// Returns the log of a worker.
    #[must_use]
    pub fn log_of(&self, worker: &str) -> String {
        std::fs::read_to_string(self.dir.path(&format!("{worker}.log"))).unwrap_or_default()
    }

    /// Collects into `out/` and checks the result: the records with [`check_records`], the keys
    /// that are left in Redis, and that no process is left after the server has ended.
    pub fn check(self, context: &mut ChaosContext) {
        let _ = self.ask(&["collect", &self.id, "--out", "out"]).expect(0);
        self.check_collected("out", context);
    }

    /// Does the checks of [`Self::check`] for records that `run` or `collect` has already written.
    pub fn check_collected(mut self, out: &str, context: &mut ChaosContext) {
        let samples = check_records(&self.dir.path(out), &reference(&self.spec));
        self.check_keys();
        let mut connection = self.redis.connection();
        // The server ends and closes the connection without an answer.
        let _ = redis::cmd("SHUTDOWN").exec(&mut connection);
        super::wait_for("end of redis-server", || {
            self.redis.has_ended().then_some(())
        });
        let left = processes_in(self.dir.dir.path());
        assert!(left.is_empty(), "processes are left over: {left:?}");
        context.compared(samples);
    }

    /// Checks that Redis holds only the settings of the sweep, the finished samples, the workers
    /// and the history. No job, lease, claim, charge or record may be left.
    fn check_keys(&self) {
        let mut connection = self.redis.connection();
        let keys: BTreeSet<String> = connection.keys("*").expect("an answer");
        let allowed_names = [
            "meta",
            "spec",
            "done",
            "completed",
            "results",
            "workers",
            "events",
        ];
        let mut allowed: BTreeSet<String> = allowed_names.map(|name| self.key(name)).into();
        allowed.insert("ddrs:sweeps".to_owned());
        let left: Vec<_> = keys.difference(&allowed).collect();
        assert!(left.is_empty(), "keys are left over: {left:?}");
        assert_eq!(
            self.stream("results", &mut connection).len(),
            0,
            "records are left over"
        );
        let jobs: u64 = connection
            .hget(self.key("meta"), "jobs")
            .expect("an answer");
        let completed: u64 = redis::cmd("BITCOUNT")
            .arg(self.key("completed"))
            .query(&mut connection)
            .expect("an answer");
        assert_eq!(completed, jobs, "every job must be completed");
    }
}

pub(super) fn write_spec(dir: &TestDir, spec: &HalfSpaceSweep) {
    let path = dir.half_space(spec);
    // The settings of the queue are the last table of the specification.
    let text = std::fs::read_to_string(&path).expect("a specification") + "max-attempts = 1000\n";
    dir.write("sweep.toml", text);
}
