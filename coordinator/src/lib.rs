//! The coordinator: plans sweeps, keeps their queue and turns records into tables. It never
//! computes a score, so it needs no torch and starts on a login node in milliseconds.
//!
//! In reading order:
//! - [`cli`]: the command line as written
//! - [`prepare`]: a specification becomes a sweep that is known to be runnable
//! - [`run_dir`]: the folder that a run leaves behind
//! - [`collect`]: records move from Redis to the folder
//! - [`run`]: everything in one command, with local workers and a private Redis
//! - [`commands`]: the other commands, one file each
//! - [`stop`]: being told to stop
//! - [`dead`]: why a job was given up, with the names of its samples
//! - [`memory`]: contradictions between certificates are resolved (Algorithm 2)
//! - [`aggregate`]: samples become the values of a table
//! - [`report`]: a table becomes text, JSON, CSV, Markdown, LaTeX, logs, a curve and a page
//! - [`log_file`]: certification logs written by others

pub mod aggregate;
pub mod cli;
pub mod collect;
pub mod commands;
pub mod dead;
pub mod exit;
pub mod log_file;
pub mod memory;
pub mod prepare;
pub mod progress;
pub mod report;
pub mod run;
pub mod run_dir;
pub mod stop;
pub mod tables;
