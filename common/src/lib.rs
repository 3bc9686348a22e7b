//! What the coordinator and the worker share: everything that can be decided without a GPU, and
//! without torch.
//!
//! In reading order:
//! - [`domain`]: ids, units, outcomes and records
//! - [`spec`]: a sweep specification as written, and as checked
//! - [`plan`]: how a sweep is cut into jobs
//! - [`sweep_message`]: a sweep as Redis and `manifest.json` hold it
//! - [`architecture`]: the tensors each known network is made of
//! - [`stats`]: the bounds that certificates rest on
//! - [`certify`]: the certifier as a machine without IO
//! - [`data`]: datasets as images in \[0, 1\]
//! - [`record_file`]: records as lines of JSON
//! - [`host`]: this machine's name
//! - [`output`], [`log`], [`terminal`]: what goes to stdout and stderr, and harmless whoever wrote
//!   it
//! - [`replace()`], [`lock()`]: files that are replaced in one step, and that one program at a time
//!   writes
//! - [`bounded`], [`roots`]: how much of a file is read, and which files a program may open
//! - [`queue`]: jobs, leases and results in Redis
//! - [`cli`]: options, exit codes and stop signals of both programs

pub mod architecture;
pub mod bounded;
pub mod certify;
pub mod cli;
pub mod data;
pub mod domain;
#[cfg(test)]
#[path = "../../tests/golden/read.rs"]
mod golden;
pub mod host;
mod lock;
pub mod log;
pub mod output;
pub mod plan;
pub mod queue;
pub mod record_file;
mod replace;
pub mod roots;
pub mod spec;
pub mod stats;
pub mod sweep_message;
pub mod terminal;

pub use lock::{lock, lock_where_supported};
pub use replace::replace;
