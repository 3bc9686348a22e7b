//! Redis forgets every script, again and again, while a sweep is worked on.

use std::thread::sleep;
use std::time::Duration;

use super::{Fsync, Lab, Scene};
use crate::HalfSpace;

/// The scripts are flushed every few milliseconds until the sweep is done.
pub(super) fn run(lab: &mut Lab) {
    const FLUSHES: &str = "SCRIPT FLUSH";
    const UNKNOWN: &str = "calls of a script that redis had forgotten";
    lab.announce(FLUSHES, lab.pick(20, 1000));
    lab.announce(UNKNOWN, lab.pick(10, 500));
    while lab.lacks(FLUSHES) || lab.lacks(UNKNOWN) {
        let spec = HalfSpace {
            samples: lab.pick(30, 200),
            n: 20_000,
            ..HalfSpace::default()
        };
        let mut scene = Scene::new(&spec, Fsync::EverySecond);
        let mut workers = [
            scene.worker(&["--exit-when-idle"]),
            scene.worker(&["--exit-when-idle"]),
        ];
        let mut connection = scene.redis.connection();
        while workers.iter_mut().any(|worker| worker.ended().is_none()) {
            redis::cmd("SCRIPT")
                .arg("FLUSH")
                .arg("SYNC")
                .exec(&mut connection)
                .expect("an answer");
            lab.count(FLUSHES, 1);
            sleep(lab.moment(Duration::from_millis(10)));
        }
        for worker in workers {
            let name = worker.name.clone();
            assert!(
                worker.wait().success(),
                "{name} failed: {}",
                scene.log_of(&name)
            );
        }
        let info: String = redis::cmd("INFO")
            .arg("errorstats")
            .query(&mut connection)
            .expect("an answer");
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("errorstat_NOSCRIPT:count="));
        lab.count(
            UNKNOWN,
            line.map_or(0, |count| count.trim().parse().expect("a count")),
        );
        scene.check(lab);
    }
}
