//! Workers whose clock is an hour off, one ahead and one behind. Deadlines are the server's, so
//! nobody notices.
//!
//! The clock is shifted by a library of a few lines that stands before the C library's; where there
//! is no C compiler the case is left out.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::Commands;

use super::process::wait_for;
use super::{ChaosContext, Fsync, TestSweep, WorkerProcess};
use crate::{HalfSpaceSweep, TestDir};

const HOUR: i64 = 3600;
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long shift(void) {
    const char *seconds = getenv("CLOCK_SHIFT");
    return seconds ? atol(seconds) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*next)(clockid_t, struct timespec *);
    if (!next) next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = next(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += shift();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}

time_t time(time_t *kept) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (kept) *kept = exact.tv_sec;
    return exact.tv_sec;
}
"#;

const SHIFTED: &str = "workers with a clock an hour off";

pub(super) fn run(context: &mut ChaosContext) {
    for _ in 0..context.pick(1, 5) {
        let spec = HalfSpaceSweep {
            n: 20_000,
            samples: context.pick(30, 200),
            ..HalfSpaceSweep::default()
        };
        let mut sweep = TestSweep::new(&spec, Fsync::EverySecond);
        let Some(shim) = compile(&sweep.dir) else {
            return context.skip("there is no C compiler to shift clocks with");
        };
        context.announce(SHIFTED, context.pick(2, 10));
        let workers = [HOUR, -HOUR].map(|shift| {
            let environment = [
                ("LD_PRELOAD", shim.display().to_string()),
                ("CLOCK_SHIFT", shift.to_string()),
            ];
            (shift, sweep.worker_in(&environment, &["--exit-when-idle"]))
        });
        watch_deadlines(&sweep, &spec);
        for (shift, worker) in workers {
            check_worker(context, &sweep, shift, worker);
        }
        sweep.check(context);
    }
}

/// Every lease ends within its length of now, by the server's clock, for as long as there is one.
fn watch_deadlines(sweep: &TestSweep, spec: &HalfSpaceSweep) {
    let mut connection = sweep.redis.connection();
    let mut seen = 0;
    wait_for("end of the sweep", || {
        let leases: Vec<(String, f64)> = connection
            .zrange_withscores(sweep.key("leases"), 0, -1)
            .expect("an answer");
        let (seconds, micros): (u64, u64) = redis::cmd("TIME")
            .query(&mut connection)
            .expect("an answer");
        let now = (seconds * 1000 + micros / 1000) as f64;
        for (job, deadline) in &leases {
            // Half an hour covers any delay, and no shift.
            assert!(
                (deadline - now).abs() < 1_800_000.0,
                "job {job} is leased until {deadline} at {now}"
            );
        }
        seen += leases.len();
        let done: u64 = redis::cmd("BITCOUNT")
            .arg(sweep.key("done"))
            .query(&mut connection)
            .expect("an answer");
        (done == 2 * spec.samples as u64).then_some(())
    });
    assert!(seen > 0, "no lease was seen");
}

/// That the worker did its part, and that its own clock really was off: its log says so.
fn check_worker(context: &mut ChaosContext, sweep: &TestSweep, shift: i64, worker: WorkerProcess) {
    let name = worker.name.clone();
    assert!(
        worker.wait().success(),
        "{name} failed: {}",
        sweep.log_of(&name)
    );
    let log = sweep.log_of(&name);
    let off = logged_minute(&log).expect("a log with times") - minute_of_day(SystemTime::now());
    // Both are minutes of a day, perhaps not of the same one.
    let off = (off + 720).rem_euclid(1440) - 720;
    assert!(
        (off - shift / 60).abs() < 30,
        "{name} was {off} minutes off: {log}"
    );
    context.count(SHIFTED, 1);
}

/// The time of a log's first line, `2024-01-31T12:34:56.789Z …`, in minutes.
fn logged_minute(log: &str) -> Option<i64> {
    let (_, time) = log.split_once('T')?;
    let number = |from: usize| time.get(from..from + 2)?.parse::<i64>().ok();
    Some(60 * number(0)? + number(3)?)
}

fn minute_of_day(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    (since.as_secs() / 60 % 1440) as i64
}

/// The library, if there is a compiler.
fn compile(dir: &TestDir) -> Option<PathBuf> {
    let (source, library) = (dir.write("clock.c", SHIM), dir.path("clock.so"));
    let compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(&source)
        .output()
        .ok()?;
    assert!(
        compiler.status.success(),
        "cc: {}",
        String::from_utf8_lossy(&compiler.stderr)
    );
    Some(library)
}
