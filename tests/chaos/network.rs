//! The network between Redis and everybody else fails in five ways. Two workers and a collector
//! reach Redis through a proxy; each must find its way back by itself, since nobody starts a second
//! one.

use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

use super::process::{Signal, spawn, wait_for};
use super::{ChaosContext, Fsync, TestSweep, WorkerProcess};
use crate::HalfSpaceSweep;
use crate::proxy::{NetworkFault, Proxy, ProxyCounts};

/// Longer than the queue waits for an answer, so that connections are given up.
const LONG: Duration = Duration::from_secs(11);

/// A little late, so that the sweep lasts however fast the workers are.
const SLUGGISH: NetworkFault = NetworkFault::Late(Duration::from_millis(10));

/// Connections are closed.
pub(super) fn cut(context: &mut ChaosContext) {
    const CUT: &str = "connections cut";
    context.announce(CUT, context.pick(20, 1000));
    while context.lacks(CUT) {
        let mut sweep = ProxiedSweep::start(context.pick(40, 200), 1, SLUGGISH);
        while context.lacks(CUT) && !sweep.finished() {
            let before = sweep.proxy.counts().cut;
            sleep(context.moment(Duration::from_millis(60)));
            sweep.proxy.cut();
            context.count(CUT, sweep.proxy.counts().cut - before);
        }
        sweep.finish(context);
    }
}

/// Connections swallow what is sent, and are never closed.
pub(super) fn half_open(context: &mut ChaosContext) {
    const SILENT: &str = "connections half open";
    context.announce(SILENT, context.pick(2, 40));
    while context.lacks(SILENT) {
        let mut sweep = ProxiedSweep::start(context.pick(40, 200), 1, SLUGGISH);
        let before = context.happened(SILENT);
        while context.lacks(SILENT) && !sweep.finished() {
            sweep.proxy.half_open();
            sleep(context.moment(Duration::from_secs(1)));
            context.count(
                SILENT,
                before + sweep.proxy.counts().half_open - context.happened(SILENT),
            );
        }
        sweep.finish(context);
    }
}

/// Every answer is late.
pub(super) fn latency(context: &mut ChaosContext) {
    const LATE: &str = "answers 300 ms late";
    context.announce(LATE, context.pick(20, 1000));
    while context.lacks(LATE) {
        let sweep = ProxiedSweep::start(
            context.pick(8, 60),
            1,
            NetworkFault::Late(Duration::from_millis(300)),
        );
        let counts = sweep.finish(context);
        context.count(LATE, counts.late);
    }
}

/// Requests are applied, and the connection is reset instead of answered.
pub(super) fn reset(context: &mut ChaosContext) {
    for answer in LOST {
        context.announce(answer, context.pick(1, 25));
    }
    while LOST.into_iter().any(|answer| context.lacks(answer)) {
        // With so long a lease none is renewed: a call that names a lease, and is no record,
        // completes a job.
        let mut sweep = ProxiedSweep::start(context.pick(40, 200), 60, SLUGGISH);
        while !sweep.finished() {
            sweep.proxy.reset_next_answer(true);
            sleep(context.moment(Duration::from_millis(40)));
            // Half the time all is well: a request that is repeated once a second must not meet
            // this every time.
            sweep.proxy.reset_next_answer(false);
            sleep(context.moment(Duration::from_millis(40)));
        }
        for request in &sweep.finish(context).reset {
            context.count(answer_to(request), 1);
        }
    }
}

const CLAIM: &str = "claims applied, answer lost";
const RECORD: &str = "records applied, answer lost";
const COMPLETE: &str = "completions applied, answer lost";
const COLLECT: &str = "calls of the collector applied, answer lost";
const LOST: [&str; 4] = [CLAIM, RECORD, COMPLETE, COLLECT];

/// Which call this was. What the collector asks names no lease.
fn answer_to(request: &str) -> &'static str {
    let is_token =
        |part: &str| part.len() == 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = request.split("\r\n").collect();
    if request.contains("\"variant\"") {
        RECORD
    } else if parts.iter().any(|part| part.starts_with("worker-")) {
        CLAIM
    } else if parts.iter().any(|part| is_token(part)) {
        COMPLETE
    } else {
        COLLECT
    }
}

/// Redis, or the way to it, stands still without closing anything; some times for longer than
/// anybody waits.
pub(super) fn hang(context: &mut ChaosContext) {
    const STOPPED: &str = "redis-server stopped (SIGSTOP) and continued";
    const FROZEN: &str = "times nothing passed and nothing was closed";
    context.announce(STOPPED, context.pick(1, 20));
    context.announce(FROZEN, context.pick(1, 20));
    while context.lacks(STOPPED) || context.lacks(FROZEN) {
        let mut sweep = ProxiedSweep::start(context.pick(40, 200), 1, SLUGGISH);
        while !sweep.finished() && (context.lacks(STOPPED) || context.lacks(FROZEN)) {
            let round = context.happened(STOPPED);
            let length = if round.is_multiple_of(5) {
                LONG
            } else {
                context.moment(Duration::from_secs(2))
            };
            if context.happened(FROZEN) < round {
                let before = sweep.proxy.counts().frozen;
                sweep.proxy.fault(NetworkFault::Frozen);
                sleep(length);
                sweep.proxy.fault(SLUGGISH);
                context.count(FROZEN, u64::from(sweep.proxy.counts().frozen > before));
            } else {
                sweep.sweep.redis.signal(Signal::STOP);
                sleep(length);
                sweep.sweep.redis.signal(Signal::CONT);
                context.count(STOPPED, 1);
            }
            sleep(context.moment(Duration::from_millis(300)));
        }
        sweep.finish(context);
    }
}

/// A sweep in progress, with a proxy between Redis and the others.
struct ProxiedSweep {
    sweep: TestSweep,
    proxy: Proxy,
    workers: [WorkerProcess; 2],
    collector: CollectorProcess,
}

/// `collect --follow`. Killed when this is dropped.
struct CollectorProcess(Child);

impl Drop for CollectorProcess {
    fn drop(&mut self) {
        // Either may fail on one that has ended, which is what is wanted.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl ProxiedSweep {
    /// Returns when everybody is at work: a server that is not there when a program starts is
    /// reported, not waited for.
    fn start(samples: usize, lease: u64, fault: NetworkFault) -> Self {
        let spec = HalfSpaceSweep {
            samples,
            lease,
            n: 20_000,
            ..HalfSpaceSweep::default()
        };
        let mut sweep = TestSweep::new(&spec, Fsync::EverySecond);
        let proxy = Proxy::before(sweep.redis.port());
        let log = std::fs::File::create(sweep.dir.path("collector.log")).expect("a log");
        let mut command = sweep.dir.coordinator();
        command
            .args(["collect", &sweep.id, "--out", "out", "--follow"])
            .env("DDRS_REDIS", proxy.url());
        let mut collector = CollectorProcess(spawn(command.stderr(log)));
        let mut workers = [(); 2].map(|()| sweep.worker_at(&proxy.url(), &["--exit-when-idle"]));
        let mut connection = sweep.redis.connection();
        let mut is_there = |command: &str, key: &str, field: &str| {
            let asked = redis::cmd(command)
                .arg(sweep.key(key))
                .arg(field)
                .query::<Option<String>>(&mut connection);
            asked.expect("an answer").is_some()
        };
        wait_for("workers and collector", || {
            // Who has ended has been there, and has signed off.
            let mut here = |worker: &mut WorkerProcess| {
                worker.ended().is_some() || is_there("ZSCORE", "workers", &worker.name)
            };
            let ready = workers.iter_mut().all(&mut here);
            let collects = collector.0.try_wait().expect("a child").is_some()
                || is_there("HGET", "meta", "collector");
            (ready && collects).then_some(())
        });
        proxy.fault(fault);
        Self {
            sweep,
            proxy,
            workers,
            collector,
        }
    }

    /// Whether every job is completed. Asked past the proxy.
    fn finished(&mut self) -> bool {
        let given_up = self
            .workers
            .iter_mut()
            .all(|worker| worker.ended().is_some());
        let mut connection = self.sweep.redis.connection();
        let mut meta = redis::cmd("HGET");
        let jobs: u64 = meta
            .arg(self.sweep.key("meta"))
            .arg("jobs")
            .query(&mut connection)
            .expect("an answer");
        let mut completed = redis::cmd("BITCOUNT");
        let done = completed
            .arg(self.sweep.key("completed"))
            .query::<u64>(&mut connection)
            .expect("an answer")
            == jobs;
        assert!(done || !given_up, "all workers ended before the sweep did");
        done
    }

    /// Waits until all have ended by themselves, and checks what they leave.
    fn finish(mut self, context: &mut ChaosContext) -> ProxyCounts {
        for worker in self.workers {
            let name = worker.name.clone();
            let status = worker.wait();
            assert!(
                status.success(),
                "{name} ended with {status}: {}",
                self.sweep.log_of(&name)
            );
        }
        let status = wait_for("end of the collector", || {
            self.collector.0.try_wait().expect("a child")
        });
        assert!(
            status.success(),
            "the collector ended with {status}: {}",
            self.sweep.log_of("collector")
        );
        self.sweep.check_collected("out", context);
        self.proxy.counts()
    }
}
