//! End-to-end tests: the real programs as processes, with a real Redis.
#![allow(clippy::unwrap_used)]

mod acceptance;
mod attack;
mod bad_machine;
mod checkpoints;
mod cluster;
mod damage;
mod demo;
mod determinism;
mod endings;
mod envelope;
mod forged;
mod forms;
mod half_space;
mod hostile;
mod images;
mod interrupted;
mod labels;
mod last_worker;
mod models;
mod poison;
mod preemption;
mod redis;
mod released;
mod run_folder;
mod selected;
mod sharing;
mod trained;
mod tutorial;
mod worker_program;
