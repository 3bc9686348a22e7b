//! The list of chaos cases, in the order in which `make chaos` runs them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    CaseReport, ChaosContext, Size, clocks, collection, forgotten_scripts, full_disk, full_memory,
    many_leases, network, redis_crashes, stale_workers, torn_line, worker_kills,
};

/// A kind of fault with the code that injects it and checks the result.
#[derive(Clone, Copy)]
pub struct ChaosCase {
    /// The argument of `--case`. It is part of the seed of the schedule.
    pub name: &'static str,
    /// A description of the fault.
    pub what: &'static str,
    /// Injects the faults and panics if a guarantee does not hold.
    pub run: fn(&mut ChaosContext),
}

/// All chaos cases.
pub const CASES: &[ChaosCase] = &[
    ChaosCase {
        name: "worker-kills",
        what: "workers are killed at start, after a claim, during a job and after a record",
        run: worker_kills::run,
    },
    ChaosCase {
        name: "zombies",
        what: "workers are stopped, lose their lease to another worker, continue and try to write",
        run: stale_workers::run,
    },
    ChaosCase {
        name: "redis-crashes",
        what: "redis-server is killed and restarted in each run; some kills lose the last second",
        run: redis_crashes::run,
    },
    ChaosCase {
        name: "collection",
        what: "`collect` is killed at each of its stages, and `run` at random moments",
        run: collection::run,
    },
    ChaosCase {
        name: "torn-line",
        what: "records.jsonl is cut at every byte of its last line",
        run: torn_line::run,
    },
    ChaosCase {
        name: "full-disk",
        what: "the disk of the coordinator, of redis, or of both fills up during a run",
        run: full_disk::run,
    },
    ChaosCase {
        name: "network-cut",
        what: "all connections to redis are closed, every few milliseconds",
        run: network::cut,
    },
    ChaosCase {
        name: "network-half-open",
        what: "connections to redis stay open but drop all data",
        run: network::half_open,
    },
    ChaosCase {
        name: "network-latency",
        what: "every answer of redis is 300 ms late",
        run: network::latency,
    },
    ChaosCase {
        name: "network-reset",
        what: "redis applies requests, but the connection is reset before the answer",
        run: network::reset,
    },
    ChaosCase {
        name: "network-hang",
        what: "redis or the network stops for up to 11 s without closing a connection",
        run: network::hang,
    },
    ChaosCase {
        name: "memory-full",
        what: "redis is out of memory (noeviction) for longer than a lease while jobs are leased",
        run: full_memory::run,
    },
    ChaosCase {
        name: "memory-eviction",
        what: "redis is configured to evict keys; every program refuses to use it",
        run: full_memory::eviction,
    },
    ChaosCase {
        name: "script-flush",
        what: "redis forgets all scripts, every few milliseconds",
        run: forgotten_scripts::run,
    },
    ChaosCase {
        name: "clocks",
        what: "the clock of one worker is an hour ahead, that of another an hour behind",
        run: clocks::run,
    },
    ChaosCase {
        name: "crowd",
        what: "10,000 leases (100,000 in the full size) expire at once, with as many jobs pending",
        run: many_leases::run,
    },
];

impl ChaosCase {
    /// Runs the case and returns its report. A case fails if it injected fewer faults than it
    /// announced.
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
        .unwrap_or("the case panicked without a message")
        .to_owned()
}
