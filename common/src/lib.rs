//! The parts that the coordinator and the worker share. They need neither a GPU nor torch.
//!
//! In reading order:
//! - [`domain`]: ids, units, outcomes and records
//! - [`spec`]: sweep and training specifications, as written and as checked
//! - [`plan`]: the jobs of a sweep
//! - [`sweep_message`]: a sweep as Redis and `manifest.json` store it
//! - [`architecture`]: the layers and tensors of each known network
//! - [`stats`]: the bounds that certificates rest on
//! - [`grid`]: noise on a grid: its distribution, and what certificates lose by it
//! - [`certify`]: the certifier, a state machine without IO
//! - [`data`]: datasets as images in \[0, 1\]
//! - [`record_file`]: records as lines of JSON
//! - [`attack`]: attacks on certificates, as lines of JSON
//! - [`run_folder`]: the files of a run that both programs read
//! - [`sigma_file`]: reads a sigma per sample from a file
//! - [`host`]: this machine's name
//! - [`output`], [`log`], [`terminal`]: stdout and stderr, without characters that control a
//!   terminal
//! - [`replace()`], [`lock()`]: replaces a file in one step, and locks it for one program
//! - [`bounded`], [`roots`]: limits on the size and the place of files
//! - [`model_file`]: safetensors and checkpoints of `torch.save` as named tensors
//! - [`pickle`]: pickles of Python as data, without executing anything
//! - [`queue`]: jobs, leases and results in Redis
//! - [`cli`]: options, exit codes and stop signals of both programs

pub mod architecture;
pub mod attack;
pub mod bounded;
pub mod certify;
pub mod cli;
pub mod data;
pub mod domain;
#[cfg(test)]
#[path = "../../tests/golden/read.rs"]
mod golden;
pub mod grid;
pub mod host;
mod lock;
pub mod log;
pub mod model_file;
pub mod output;
pub mod pickle;
pub mod plan;
pub mod queue;
pub mod record_file;
mod replace;
pub mod roots;
pub mod run_folder;
pub mod sigma_file;
pub mod spec;
pub mod stats;
pub mod sweep_message;
pub mod terminal;

pub use lock::{lock, lock_where_supported};
pub use replace::replace;
