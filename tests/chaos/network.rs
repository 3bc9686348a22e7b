//! Injects five kinds of network fault. Two workers and a collector connect to Redis through a
//! proxy. Each process must reconnect by itself, because no case restarts one.

use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

use super::process::{Signal, spawn, wait_for};
use super::{ChaosContext, Fsync, TestSweep, TestWorker};
use crate::HalfSpaceSweep;
use crate::proxy::{NetworkFault, Proxy, ProxyCounts};

/// A time that exceeds the response timeout of the queue, so that clients close their connections.
const LONG: Duration = Duration::from_secs(11);

/// A delay of each answer that makes the sweep last long enough even with fast workers.
const SHORT_DELAY: NetworkFault = NetworkFault::Late(Duration::from_millis(10));

/// Closes all connections every few milliseconds.
pub(super) fn cut(context: &mut ChaosContext) {
    const CUT: &str = "connections cut";
    context.announce(CUT, context.pick(20, 1000));
    while context.lacks(CUT) {
        let mut sweep = ProxiedSweep::start(context.pick(40, 200), 1, SHORT_DELAY);
        while context.lacks(CUT) && !sweep.finished() {
            let before = sweep.proxy.counts().cut;
            sleep(context.moment(Duration::from_millis(60)));
            sweep.proxy.cut();
            context.count(CUT, sweep.proxy.counts().cut - before);
        }
        sweep.finish(context);
    }
}

/// Makes connections drop all data without closing them.
pub(super) fn half_open(context: &mut ChaosContext) {
    const SILENT: &str = "connections half open";
    context.announce(SILENT, context.pick(2, 40));
    while context.lacks(SILENT) {
        let mut sweep = ProxiedSweep::start(context.pick(40, 200), 1, SHORT_DELAY);
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

/// Delays every answer by 300 ms.
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

/// Lets Redis apply requests, then resets the connection before the answer.
pub(super) fn reset(context: &mut ChaosContext) {
    for answer in LOST {
        context.announce(answer, context.pick(1, 25));
    }
    while LOST.into_iter().any(|answer| context.lacks(answer)) {
        // No lease is renewed during a lease of 60 s. So a call that names a lease and has no
        // record completes a job.
        let mut sweep = ProxiedSweep::start(context.pick(40, 200), 60, SHORT_DELAY);
        while !sweep.finished() {
            sweep.proxy.reset_next_answer(true);
            sleep(context.moment(Duration::from_millis(40)));
            // Requests succeed for half of the time. A client repeats its request every second, and
            // not every repetition may fail.
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
const COLLECT: &str = "collector calls applied, answer lost";
const LOST: [&str; 4] = [CLAIM, RECORD, COMPLETE, COLLECT];

/// Classifies a request. Calls of the collector name no lease.
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

/// Stops Redis or the proxy without closing a connection. Some stops last longer than the response
/// timeout.
pub(super) fn hang(context: &mut ChaosContext) {
    const STOPPED: &str = "redis-server stopped (SIGSTOP) and continued";
    const FROZEN: &str = "times the network passed nothing and closed nothing";
    context.announce(STOPPED, context.pick(1, 20));
    context.announce(FROZEN, context.pick(1, 20));
    while context.lacks(STOPPED) || context.lacks(FROZEN) {
        let mut sweep = ProxiedSweep::start(context.pick(40, 200), 1, SHORT_DELAY);
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
                sweep.proxy.fault(SHORT_DELAY);
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

/// Returns true if a key of the sweep has a member or field of this name.
fn has_field(sweep: &TestSweep, command: &str, key: &str, field: &str) -> bool {
    let value = redis::cmd(command)
        .arg(sweep.key(key))
        .arg(field)
        .query::<Option<String>>(&mut sweep.redis.connection());
    value.expect("an answer").is_some()
}

/// A sweep in progress whose programs connect to Redis through a proxy.
struct ProxiedSweep {
    sweep: TestSweep,
    proxy: Proxy,
    workers: [TestWorker; 2],
    collector: CollectorProcess,
}

/// A running `collect --follow`. It is killed on drop.
struct CollectorProcess(Child);

impl Drop for CollectorProcess {
    fn drop(&mut self) {
        // Both calls may fail if the process has already ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl ProxiedSweep {
    /// Starts the programs and waits until all have connected, then injects `fault`. A program that
    /// cannot reach Redis at its start exits instead of waiting.
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
        wait_for("workers and collector", || {
            // A worker that has ended was connected before and removed its entry.
            let all_work = workers.iter_mut().all(|worker| {
                worker.ended().is_some() || has_field(&sweep, "ZSCORE", "workers", &worker.name)
            });
            let collects = collector.0.try_wait().expect("a child").is_some()
                || has_field(&sweep, "HGET", "meta", "collector");
            (all_work && collects).then_some(())
        });
        proxy.fault(fault);
        Self {
            sweep,
            proxy,
            workers,
            collector,
        }
    }

    /// Returns true if every job is completed. The question does not pass through the proxy.
    fn finished(&mut self) -> bool {
        let all_ended = self
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
        assert!(done || !all_ended, "all workers ended before the sweep did");
        done
    }

    /// Waits until all programs have ended by themselves, and checks the result.
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
