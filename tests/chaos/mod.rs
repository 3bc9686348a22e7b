//! Faults on purpose: the real coordinator, workers and redis-server are killed, stopped, cut off
//! and filled up, on a schedule that a seed decides, and afterwards everything must be as if
//! nothing had happened.
//!
//! A [`Case`] is written once and run at two sizes: a short one among the tests, the full one by
//! `make chaos`. What a seed replays is the schedule (which fault, at which moment, how long); the
//! processes' own timing is theirs.

mod aftermath;
mod cases;
mod clocks;
mod collection;
mod crowd;
mod forgetful;
mod full_disk;
mod full_memory;
mod lab;
mod network;
mod process;
mod redis_crashes;
mod redis_server;
mod running;
mod scene;
mod torn_line;
mod worker_kills;
mod zombies;

pub use aftermath::{Reference, check_records, reference};
pub use cases::{CASES, Case};
pub use lab::{Lab, Size, Verdict};
pub use process::{Signal, Worker, signal, wait_for};
pub use redis_server::{Fsync, RedisServer};
pub use scene::{Scene, chaos_sweep};
