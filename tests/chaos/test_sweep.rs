//! A submitted sweep, its Redis, and the end to which every case must bring it.

use std::collections::{BTreeMap, BTreeSet};

use redis::Commands;
use serde_json::Value;

use super::checks::{check_records, reference};
use super::full_disk::Disk;
use super::process::processes_in;
use super::{ChaosContext, Fsync, RedisServer, WorkerProcess};
use crate::{HalfSpaceSweep, ProgramOutput, TestDir, run_to_end};

/// The sweep of most cases: 48 samples of two variants in 16 jobs, slow enough to be caught in the
/// act, with leases of a second.
#[must_use]
pub fn chaos_sweep() -> HalfSpaceSweep {
    HalfSpaceSweep {
        n: 20_000,
        lease: 1,
        ..HalfSpaceSweep::default()
    }
}

/// A folder, a Redis and a sweep that was submitted to it.
pub struct TestSweep {
    /// Mounted in the folder, so gone before it.
    pub(super) disks: Vec<Disk>,
    /// The folder: `sweep.toml` and what it names, workers' logs, `redis/`, later `out/`.
    pub dir: TestDir,
    /// The server.
    pub redis: RedisServer,
    /// The sweep's id.
    pub id: String,
    spec: HalfSpaceSweep,
    workers_started: u32,
}

impl TestSweep {
    /// Sets it up. Jobs may lose up to 1000 workers.
    #[must_use]
    pub fn new(spec: &HalfSpaceSweep, fsync: Fsync) -> Self {
        let dir = TestDir::new();
        let redis = RedisServer::start(&dir.path("redis"), fsync, &[]);
        Self::on(dir, redis, spec)
    }

    /// Sets it up on a server that runs.
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

    /// Runs a command of the coordinator against this Redis.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> ProgramOutput {
        run_to_end(
            self.dir
                .coordinator()
                .args(arguments)
                .env("DDRS_REDIS", self.redis.url()),
        )
    }

    /// What `status` says of the sweep.
    #[must_use]
    pub fn status(&self) -> Value {
        let told = self
            .ask(&["status", &self.id, "--format", "json"])
            .expect(0);
        serde_json::from_str(&told.stdout).expect("JSON")
    }

    /// Starts a worker with a name of its own.
    pub fn worker(&mut self, more: &[&str]) -> WorkerProcess {
        let url = self.redis.url();
        self.worker_at(&url, more)
    }

    /// Starts a worker that finds Redis at another address, say behind a proxy.
    pub fn worker_at(&mut self, url: &str, more: &[&str]) -> WorkerProcess {
        self.workers_started += 1;
        WorkerProcess::start(
            &self.dir,
            url,
            &format!("worker-{}", self.workers_started),
            more,
        )
    }

    /// Starts a worker with more in its environment.
    pub fn worker_in(&mut self, environment: &[(&str, String)], more: &[&str]) -> WorkerProcess {
        self.workers_started += 1;
        let (name, url) = (format!("worker-{}", self.workers_started), self.redis.url());
        WorkerProcess::start_in(&self.dir, &url, &name, environment, more)
    }

    /// How many samples all variants have together.
    #[must_use]
    pub fn samples(&self) -> u64 {
        2 * self.spec.samples as u64
    }

    /// A key of the sweep.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("ddrs:{{{}}}:{name}", self.id)
    }

    /// The entries of one of the sweep's streams, `results` or `events`.
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

    /// Lets two undisturbed workers do what is left.
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

    /// What a worker logged.
    #[must_use]
    pub fn log_of(&self, worker: &str) -> String {
        std::fs::read_to_string(self.dir.path(&format!("{worker}.log"))).unwrap_or_default()
    }

    /// Collects into `out/` and demands that everything is as if nothing had happened:
    /// [`check_records`], nothing but results in Redis, and after its end no process.
    pub fn check(self, context: &mut ChaosContext) {
        let _ = self.ask(&["collect", &self.id, "--out", "out"]).expect(0);
        self.check_collected("out", context);
    }

    /// [`Self::check`] for records that a `run` or `collect` has put into a folder.
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

    /// What a finished sweep may leave in Redis: who it was, what is done, who worked, what
    /// happened. No job, lease, claim, charge or record.
    fn check_keys(&self) {
        let mut connection = self.redis.connection();
        let keys: BTreeSet<String> = connection.keys("*").expect("an answer");
        let stays = [
            "meta",
            "spec",
            "done",
            "completed",
            "results",
            "workers",
            "events",
        ];
        let mut known: BTreeSet<String> = stays.map(|name| self.key(name)).into();
        known.insert("ddrs:sweeps".to_owned());
        let left: Vec<_> = keys.difference(&known).collect();
        assert!(left.is_empty(), "keys are left over: {left:?}");
        assert_eq!(
            self.stream("results", &mut connection).len(),
            0,
            "records are left over"
        );
        let (jobs, bits): (u64, u64) = (
            connection
                .hget(self.key("meta"), "jobs")
                .expect("an answer"),
            redis::cmd("BITCOUNT")
                .arg(self.key("completed"))
                .query(&mut connection)
                .expect("an answer"),
        );
        assert_eq!(bits, jobs, "every job is completed");
    }
}

pub(super) fn write_spec(dir: &TestDir, spec: &HalfSpaceSweep) {
    let path = dir.half_space(spec);
    // The queue's settings come last in the specification.
    let text = std::fs::read_to_string(&path).expect("a specification") + "max-attempts = 1000\n";
    dir.write("sweep.toml", text);
}
