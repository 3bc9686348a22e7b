//! Kills and restarts redis-server many times during one run. A killed process loses no data that
//! it has written. A machine that loses power loses the data that was not synced. The case
//! simulates this by truncating the append-only file.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::running_coordinator::RunningCoordinator;
use super::{ChaosContext, Fsync, TestSweep};
use crate::HalfSpaceSweep;

/// The longest time between a start and the next kill.
const UP: Duration = Duration::from_millis(500);
/// The longest time without a server.
const DOWN: Duration = Duration::from_millis(400);
/// The limit for one run. A run with all its crashes takes seconds.
const LONGEST_RUN: Duration = Duration::from_secs(300);
/// The time whose writes `appendfsync everysec` may lose.
const UNSYNCED: Duration = Duration::from_secs(1);

/// A kind of crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    /// Kills the process.
    Process(Fsync),
    /// Kills the process and removes the data appended since a random moment of the last second.
    Power,
}

impl Crash {
    fn fault(self) -> &'static str {
        match self {
            Self::Process(Fsync::EverySecond) => "redis-servers killed under appendfsync everysec",
            Self::Process(Fsync::Always) => "redis-servers killed under appendfsync always",
            Self::Power => "power cuts under appendfsync everysec",
        }
    }
}

const CUT_OFF: &str = "bytes of append-only files lost in these";

pub(super) fn run(context: &mut ChaosContext) {
    for crash in [
        Crash::Process(Fsync::EverySecond),
        Crash::Process(Fsync::Always),
        Crash::Power,
    ] {
        context.announce(crash.fault(), context.pick(4, 40));
        while context.lacks(crash.fault()) {
            one_run(context, crash);
        }
    }
    context.announce(CUT_OFF, 1);
}

/// Runs one sweep from start to end and crashes the server repeatedly until the run ends.
fn one_run(context: &mut ChaosContext, crash: Crash) {
    let fsync = if let Crash::Process(fsync) = crash {
        fsync
    } else {
        Fsync::EverySecond
    };
    let mut sweep = TestSweep::new(
        &HalfSpaceSweep {
            samples: context.pick(24, 120),
            ..super::chaos_sweep()
        },
        fsync,
    );
    let mut run = RunningCoordinator::start(&sweep.dir, Some(&sweep.redis));
    let deadline = Instant::now() + LONGEST_RUN;
    while run.is_alive() {
        assert!(
            Instant::now() < deadline,
            "the run did not end within {LONGEST_RUN:?}: {}",
            run.log()
        );
        let history = watch(&sweep.redis.append_only_file(), context.moment(UP));
        if !run.is_alive() {
            break;
        }
        sweep.redis.kill();
        context.count(crash.fault(), 1);
        if crash == Crash::Power {
            cut_power(context, &sweep.redis.append_only_file(), &history);
        }
        sleep(context.moment(DOWN));
        sweep.redis.launch();
    }
    run.wait_for_success();
    if crash == Crash::Power {
        // The last truncation may have restored jobs whose records are already in the file. The
        // next `collect` marks them as done, and the leases of workers that have ended expire.
        let _ = sweep.ask(&["collect", &sweep.id, "--out", "out"]).expect(0);
        sweep.work_to_the_end();
    }
    sweep.check_collected("out", context);
}

/// Records the length of a file during a period, with the time of each measurement.
fn watch(file: &Path, time: Duration) -> Vec<(Instant, u64)> {
    let end = Instant::now() + time;
    let mut history = Vec::new();
    loop {
        history.push((Instant::now(), length(file)));
        if Instant::now() >= end {
            return history;
        }
        sleep(Duration::from_millis(5));
    }
}

/// Truncates the file at a random byte among those appended since a random moment of the last
/// second.
fn cut_power(context: &mut ChaosContext, file: &Path, history: &[(Instant, u64)]) {
    let now = length(file);
    let synced = Instant::now().checked_sub(context.moment(UNSYNCED));
    let kept = history
        .iter()
        .rev()
        .find(|(at, _)| synced.is_some_and(|synced| *at <= synced))
        .or(history.first());
    let kept = kept.map_or(now, |&(_, length)| length.min(now));
    let cut = context.rng.random_range(kept..=now);
    fs::File::options()
        .write(true)
        .open(file)
        .and_then(|file| file.set_len(cut))
        .expect("a file that can be cut");
    context.count(CUT_OFF, now - cut);
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}
