//! The parts of the command line that both programs share: options, formats, exit codes and stop
//! signals.
//!
//! - [`LogFormat`], [`OutputFormat`], [`OutputArgs`]: how logs and results are written
//! - [`RedisArgs`], [`RedisCredentialArgs`]: the address of Redis, TLS and credentials
//! - [`DeviceArgs`]: the device and the threads of forward passes
//! - [`ExitCode`], and the errors [`BadInput`] and [`Interrupted`] that select one
//! - [`StopSignals`]: the signals that ask a program to stop
//! - [`WorkerArgs`], [`WorkerProcess`]: the arguments of a worker, and a worker as a child process
//!
//! The commands themselves are defined by each program.

mod device;
mod exit;
mod format;
mod redis;
mod signals;
mod worker_args;
mod worker_process;

pub use crate::log::LogFormat;
pub use device::DeviceArgs;
pub use exit::{BadInput, BlameInput, ExitCode, Interrupted};
pub use format::{OutputArgs, OutputFormat};
pub use redis::{RedisArgs, RedisCredentialArgs};
pub use signals::{StopSignal, StopSignals};
pub use worker_args::WorkerArgs;
pub use worker_process::{WorkerEnvironment, WorkerProcess, visible_gpus};
