//! Faults on purpose: the real coordinator, workers and redis-server are killed, stopped, cut off
//! and filled up, on a schedule that a seed decides, and afterwards everything must be as if
//! nothing had happened.
//!
//! A [`ChaosCase`] is written once and run at two sizes: a short one among the tests, the full one by
//! `make chaos`. What a seed replays is the schedule (which fault, at which moment, how long); the
//! processes' own timing is theirs.

mod cases;
mod checks;
mod clocks;
mod collection;
mod context;
mod forgotten_scripts;
mod full_disk;
mod full_memory;
mod many_leases;
mod network;
mod process;
mod redis_crashes;
mod redis_server;
mod running_coordinator;
mod stale_workers;
mod test_sweep;
mod torn_line;
mod worker_kills;

pub use cases::{CASES, ChaosCase};
pub use checks::{Reference, check_records, reference};
pub use context::{CaseReport, ChaosContext, Size};
pub use process::{Signal, WorkerProcess, signal, wait_for};
pub use redis_server::{Fsync, RedisServer};
pub use test_sweep::{TestSweep, chaos_sweep};
