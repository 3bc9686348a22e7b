//! Runs workers whose clock is wrong by plus or minus an hour. The clock of the Redis server
//! decides deadlines, so a worker's clock must have no effect.
//!
//! A preloaded library of a few lines of C shifts the clock. The case is skipped on a machine
//! without a C compiler.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::Commands;

use super::process::wait_for;
use super::{ChaosContext, Fsync, TestSweep, TestWorker};
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

const SHIFTED: &str = "workers with a clock that is wrong by an hour";

pub(super) fn run(context: &mut ChaosContext) {
    for _ in 0..context.pick(1, 5) {
        let spec = HalfSpaceSweep {
            n: 20_000,
            samples: context.pick(30, 200),
            ..HalfSpaceSweep::default()
        };
        let mut sweep = TestSweep::new(&spec, Fsync::EverySecond);
        let Some(shim) = compile(&sweep.dir) else {
            return context
                .skip("no C compiler (cc) was found to build the library that shifts clocks");
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

/// Checks until the end of the sweep that the deadlines of all leases are near the server's time.
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
            // Half an hour is longer than any delay and shorter than the shift.
            assert!(
                (deadline - now).abs() < 1_800_000.0,
                "job {job} is leased until {deadline}, but the server time is {now}"
            );
        }
        seen += leases.len();
        let done: u64 = redis::cmd("BITCOUNT")
            .arg(sweep.key("done"))
            .query(&mut connection)
            .expect("an answer");
        (done == 2 * spec.samples as u64).then_some(())
    });
    assert!(seen > 0, "no lease was observed during the sweep");
}

/// Checks that the worker succeeded, and that its own clock was shifted, by the times in its log.
fn check_worker(context: &mut ChaosContext, sweep: &TestSweep, shift: i64, worker: TestWorker) {
    let name = worker.name.clone();
    assert!(
        worker.wait().success(),
        "{name} failed: {}",
        sweep.log_of(&name)
    );
    let log = sweep.log_of(&name);
    let difference =
        logged_minute(&log).expect("a log with times") - minute_of_day(SystemTime::now());
    // Both are minutes of a day. The days may differ.
    let difference = (difference + 720).rem_euclid(1440) - 720;
    assert!(
        (difference - shift / 60).abs() < 30,
        "the clock of {name} differs by {difference} minutes: {log}"
    );
    context.count(SHIFTED, 1);
}

/// Returns the minute of the day of the first line of a log, `2024-01-31T12:34:56.789Z …`.
fn logged_minute(log: &str) -> Option<i64> {
    let (_, time) = log.split_once('T')?;
    let number = |from: usize| time.get(from..from + 2)?.parse::<i64>().ok();
    Some(60 * number(0)? + number(3)?)
}

fn minute_of_day(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    (since.as_secs() / 60 % 1440) as i64
}

/// Compiles the library that shifts the clock. Returns `None` without a C compiler.
fn compile(dir: &TestDir) -> Option<PathBuf> {
    let source = dir.write("clock.c", SHIM);
    let library = dir.path("clock.so");
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
