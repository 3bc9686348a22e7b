//! The coordinator: plans sweeps, keeps their queue and turns records into tables. It never
//! computes scores, so it needs no torch and starts on a login node in milliseconds.
//!
//! In reading order:
//! - `program`, `cli`: the program and its command line
//! - `prepare`: reads and checks a specification, its data and its models
//! - `submit`: puts a sweep's jobs into Redis
//! - `run_dir`: the run folder
//! - `manifest`: the facts about a run besides its records
//! - `tables`: the tables of a run folder
//! - `collect`: moves records from Redis to the run folder
//! - `run`: the whole sweep in one command, with local workers and a private Redis
//! - `worker_program`: finds the worker program
//! - `commands`: the other commands, one file per command
//! - `stop`: requests to stop
//! - `dead`: why a job is dead, with the names of its samples
//! - `memory`: resolves contradictions between certificates (Algorithm 2)
//! - `aggregate`: turns samples into the values of a table
//! - `report`: writes a table as text, JSON, CSV, Markdown, LaTeX, logs, SVG and HTML
//! - [`log_file`]: certification logs of other programs

mod aggregate;
mod cli;
mod collect;
mod commands;
mod dead;
#[cfg(test)]
#[path = "../../tests/golden/read.rs"]
mod golden;
pub mod log_file;
mod manifest;
mod memory;
mod prepare;
mod program;
mod progress;
mod report;
mod run;
mod run_dir;
mod stop;
mod submit;
mod tables;
mod worker_program;

pub use aggregate::{Entry, EntryOutcome};
pub use program::main;
