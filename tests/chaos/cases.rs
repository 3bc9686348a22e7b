//! The cases, in the order in which `make chaos` runs them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    CaseReport, ChaosContext, Size, clocks, collection, forgotten_scripts, full_disk, full_memory,
    many_leases, network, redis_crashes, stale_workers, torn_line, worker_kills,
};

/// Something that goes wrong, and what must hold all the same.
#[derive(Clone, Copy)]
pub struct ChaosCase {
    /// What `--case` calls it.
    pub name: &'static str,
    /// What is done to whom.
    pub what: &'static str,
    /// Does it, and panics where a promise does not hold.
    pub run: fn(&mut ChaosContext),
}

/// All of them.
pub const CASES: &[ChaosCase] = &[
    ChaosCase {
        name: "worker-kills",
        what: "workers are killed at every moment of their lives, many times in each run",
        run: worker_kills::run,
    },
    ChaosCase {
        name: "zombies",
        what: "workers are stopped, lose their lease to another, and come back wanting to write",
        run: stale_workers::run,
    },
    ChaosCase {
        name: "redis-crashes",
        what: "redis-server is killed and started again throughout each run, also with its last second lost",
        run: redis_crashes::run,
    },
    ChaosCase {
        name: "collection",
        what: "the coordinator is killed at every stage of collecting, and `run` at any moment",
        run: collection::run,
    },
    ChaosCase {
        name: "torn-line",
        what: "records.jsonl is cut at every byte of its last line",
        run: torn_line::run,
    },
    ChaosCase {
        name: "full-disk",
        what: "the disk of the coordinator, of redis, or of both fills up in the middle of a run",
        run: full_disk::run,
    },
    ChaosCase {
        name: "network-cut",
        what: "all connections to redis are closed, every few milliseconds",
        run: network::cut,
    },
    ChaosCase {
        name: "network-half-open",
        what: "connections to redis swallow what is sent, and are never closed",
        run: network::half_open,
    },
    ChaosCase {
        name: "network-latency",
        what: "every answer of redis is 300 ms late",
        run: network::latency,
    },
    ChaosCase {
        name: "network-reset",
        what: "requests are applied, and the connection is reset instead of answered",
        run: network::reset,
    },
    ChaosCase {
        name: "network-hang",
        what: "redis, or the way to it, stands still for up to eleven seconds, and nothing is closed",
        run: network::hang,
    },
    ChaosCase {
        name: "memory-full",
        what: "redis is out of memory (noeviction) for longer than a lease lasts, while jobs are leased",
        run: full_memory::run,
    },
    ChaosCase {
        name: "memory-eviction",
        what: "redis would remove jobs when memory runs out; every program refuses it",
        run: full_memory::eviction,
    },
    ChaosCase {
        name: "script-flush",
        what: "redis forgets all scripts, every few milliseconds",
        run: forgotten_scripts::run,
    },
    ChaosCase {
        name: "clocks",
        what: "one worker's clock is an hour ahead, another's an hour behind",
        run: clocks::run,
    },
    ChaosCase {
        name: "crowd",
        what: "thousands of leases lapse at once (in full 100,000), with twice as many jobs in the queue",
        run: many_leases::run,
    },
];

impl ChaosCase {
    /// Runs it and says how it went. A case that injected fewer faults than it announced has
    /// failed.
    #[must_use]
    pub fn run(&self, size: Size, seed: u64) -> CaseReport {
        let mut context = ChaosContext::new(self.name, size, seed);
        let ended = catch_unwind(AssertUnwindSafe(|| (self.run)(&mut context)));
        context.report(ended.err().map(|panic| message(&*panic)))
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it panicked")
        .to_owned()
}
