//! The network between Redis and everybody else fails in five ways. Two workers and a collector
//! reach Redis through a proxy; each must find its way back by itself, since nobody starts a second
//! one.

use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

use super::process::{Signal, spawn, wait_for};
use super::{Fsync, Lab, Scene, Worker};
use crate::HalfSpace;
use crate::proxy::{Felt, Proxy, Weather};

/// Longer than the queue waits for an answer, so that connections are given up.
const LONG: Duration = Duration::from_secs(11);

/// A little late, so that the sweep lasts however fast the workers are.
const SLUGGISH: Weather = Weather::Late(Duration::from_millis(10));

/// Connections are closed.
pub(super) fn cut(lab: &mut Lab) {
    const CUT: &str = "connections cut";
    lab.announce(CUT, lab.pick(20, 1000));
    while lab.lacks(CUT) {
        let mut online = Online::start(lab.pick(40, 200), 1, SLUGGISH);
        while lab.lacks(CUT) && !online.finished() {
            let before = online.proxy.felt().cut;
            sleep(lab.moment(Duration::from_millis(60)));
            online.proxy.cut();
            lab.count(CUT, online.proxy.felt().cut - before);
        }
        online.end(lab);
    }
}

/// Connections swallow what is sent, and are never closed.
pub(super) fn half_open(lab: &mut Lab) {
    const SILENT: &str = "connections half open";
    lab.announce(SILENT, lab.pick(2, 40));
    while lab.lacks(SILENT) {
        let mut online = Online::start(lab.pick(40, 200), 1, SLUGGISH);
        let before = lab.happened(SILENT);
        while lab.lacks(SILENT) && !online.finished() {
            online.proxy.half_open();
            sleep(lab.moment(Duration::from_secs(1)));
            lab.count(
                SILENT,
                before + online.proxy.felt().half_open - lab.happened(SILENT),
            );
        }
        online.end(lab);
    }
}

/// Every answer is late.
pub(super) fn latency(lab: &mut Lab) {
    const LATE: &str = "answers 300 ms late";
    lab.announce(LATE, lab.pick(20, 1000));
    while lab.lacks(LATE) {
        let online = Online::start(
            lab.pick(8, 60),
            1,
            Weather::Late(Duration::from_millis(300)),
        );
        let felt = online.end(lab);
        lab.count(LATE, felt.late);
    }
}

/// Requests are applied, and the connection is reset instead of answered.
pub(super) fn reset(lab: &mut Lab) {
    for answer in LOST {
        lab.announce(answer, lab.pick(1, 25));
    }
    while LOST.into_iter().any(|answer| lab.lacks(answer)) {
        // With so long a lease none is renewed: a call that names a lease, and is no record,
        // completes a job.
        let mut online = Online::start(lab.pick(40, 200), 60, SLUGGISH);
        while !online.finished() {
            online.proxy.reset_next_answer(true);
            sleep(lab.moment(Duration::from_millis(40)));
            // Half the time all is well: a request that is repeated once a second must not meet
            // this every time.
            online.proxy.reset_next_answer(false);
            sleep(lab.moment(Duration::from_millis(40)));
        }
        for request in &online.end(lab).reset {
            lab.count(answer_to(request), 1);
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
pub(super) fn hang(lab: &mut Lab) {
    const STOPPED: &str = "redis-server stopped (SIGSTOP) and continued";
    const FROZEN: &str = "times nothing passed and nothing was closed";
    lab.announce(STOPPED, lab.pick(1, 20));
    lab.announce(FROZEN, lab.pick(1, 20));
    while lab.lacks(STOPPED) || lab.lacks(FROZEN) {
        let mut online = Online::start(lab.pick(40, 200), 1, SLUGGISH);
        while !online.finished() && (lab.lacks(STOPPED) || lab.lacks(FROZEN)) {
            let round = lab.happened(STOPPED);
            let length = if round.is_multiple_of(5) {
                LONG
            } else {
                lab.moment(Duration::from_secs(2))
            };
            if lab.happened(FROZEN) < round {
                let before = online.proxy.felt().frozen;
                online.proxy.weather(Weather::Frozen);
                sleep(length);
                online.proxy.weather(SLUGGISH);
                lab.count(FROZEN, u64::from(online.proxy.felt().frozen > before));
            } else {
                online.scene.redis.signal(Signal::STOP);
                sleep(length);
                online.scene.redis.signal(Signal::CONT);
                lab.count(STOPPED, 1);
            }
            sleep(lab.moment(Duration::from_millis(300)));
        }
        online.end(lab);
    }
}

/// A sweep in progress, with a proxy between Redis and the others.
struct Online {
    scene: Scene,
    proxy: Proxy,
    workers: [Worker; 2],
    collector: Collector,
}

/// `collect --follow`. Killed when this is dropped.
struct Collector(Child);

impl Drop for Collector {
    fn drop(&mut self) {
        // Either may fail on one that has ended, which is what is wanted.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Online {
    /// Returns when everybody is at work: a server that is not there when a program starts is
    /// reported, not waited for.
    fn start(samples: usize, lease: u64, weather: Weather) -> Self {
        let spec = HalfSpace {
            samples,
            lease,
            n: 20_000,
            ..HalfSpace::default()
        };
        let mut scene = Scene::new(&spec, Fsync::EverySecond);
        let proxy = Proxy::before(scene.redis.port());
        let log = std::fs::File::create(scene.dir.path("collector.log")).expect("a log");
        let mut command = scene.dir.coordinator();
        command
            .args(["collect", &scene.sweep, "--out", "out", "--follow"])
            .env("DDRS_REDIS", proxy.url());
        let mut collector = Collector(spawn(command.stderr(log)));
        let mut workers = [(); 2].map(|()| scene.worker_at(&proxy.url(), &["--exit-when-idle"]));
        let mut connection = scene.redis.connection();
        let mut is_there = |command: &str, key: &str, field: &str| {
            let asked = redis::cmd(command)
                .arg(scene.key(key))
                .arg(field)
                .query::<Option<String>>(&mut connection);
            asked.expect("an answer").is_some()
        };
        wait_for("workers and collector", || {
            // Who has ended has been there, and has signed off.
            let mut here = |worker: &mut Worker| {
                worker.ended().is_some() || is_there("ZSCORE", "workers", &worker.name)
            };
            let ready = workers.iter_mut().all(&mut here);
            let collects = collector.0.try_wait().expect("a child").is_some()
                || is_there("HGET", "meta", "collector");
            (ready && collects).then_some(())
        });
        proxy.weather(weather);
        Self {
            scene,
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
        let mut connection = self.scene.redis.connection();
        let mut meta = redis::cmd("HGET");
        let jobs: u64 = meta
            .arg(self.scene.key("meta"))
            .arg("jobs")
            .query(&mut connection)
            .expect("an answer");
        let mut completed = redis::cmd("BITCOUNT");
        let done = completed
            .arg(self.scene.key("completed"))
            .query::<u64>(&mut connection)
            .expect("an answer")
            == jobs;
        assert!(done || !given_up, "all workers ended before the sweep did");
        done
    }

    /// Waits until all have ended by themselves, and checks what they leave.
    fn end(mut self, lab: &mut Lab) -> Felt {
        for worker in self.workers {
            let name = worker.name.clone();
            let status = worker.wait();
            assert!(
                status.success(),
                "{name} ended with {status}: {}",
                self.scene.log_of(&name)
            );
        }
        let status = wait_for("end of the collector", || {
            self.collector.0.try_wait().expect("a child")
        });
        assert!(
            status.success(),
            "the collector ended with {status}: {}",
            self.scene.log_of("collector")
        );
        self.scene.check_collected("out", lab);
        self.proxy.felt()
    }
}
