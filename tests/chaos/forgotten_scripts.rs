//! Removes all scripts from Redis repeatedly while workers certify a sweep.

use std::thread::sleep;
use std::time::Duration;

use super::{ChaosContext, Fsync, TestSweep};
use crate::HalfSpaceSweep;

/// Flushes the scripts every few milliseconds until the sweep is done.
pub(super) fn run(context: &mut ChaosContext) {
    const FLUSHES: &str = "SCRIPT FLUSH";
    const UNKNOWN: &str = "calls of a script that redis did not have";
    context.announce(FLUSHES, context.pick(20, 1000));
    context.announce(UNKNOWN, context.pick(10, 500));
    while context.lacks(FLUSHES) || context.lacks(UNKNOWN) {
        let spec = HalfSpaceSweep {
            samples: context.pick(30, 200),
            n: 20_000,
            ..HalfSpaceSweep::default()
        };
        let mut sweep = TestSweep::new(&spec, Fsync::EverySecond);
        let mut workers = [
            sweep.worker(&["--exit-when-idle"]),
            sweep.worker(&["--exit-when-idle"]),
        ];
        let mut connection = sweep.redis.connection();
        while workers.iter_mut().any(|worker| worker.ended().is_none()) {
            redis::cmd("SCRIPT")
                .arg("FLUSH")
                .arg("SYNC")
                .exec(&mut connection)
                .expect("an answer");
            context.count(FLUSHES, 1);
            sleep(context.moment(Duration::from_millis(10)));
        }
        for worker in workers {
            let name = worker.name.clone();
            assert!(
                worker.wait().success(),
                "{name} failed: {}",
                sweep.log_of(&name)
            );
        }
        let info: String = redis::cmd("INFO")
            .arg("errorstats")
            .query(&mut connection)
            .expect("an answer");
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("errorstat_NOSCRIPT:count="));
        context.count(
            UNKNOWN,
            line.map_or(0, |count| count.trim().parse().expect("a count")),
        );
        sweep.check(context);
    }
}
