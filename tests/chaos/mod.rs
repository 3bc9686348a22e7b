//! Injects faults into the real coordinator, workers and redis-server. Processes are killed and
//! stopped, connections are cut, and disks and memory are filled up. Afterwards the records,
//! tables, Redis keys and processes must be the same as after an undisturbed run.
//!
//! Each [`ChaosCase`] has two sizes. The tests run the short one, and `make chaos` the full one. A
//! seed determines the schedule: which fault happens, at which moment, and for how long. It does
//! not determine the timing of the processes.

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
pub use process::{Signal, TestWorker, signal, wait_for};
pub use redis_server::{Fsync, RedisServer};
pub use test_sweep::{TestSweep, chaos_sweep};
