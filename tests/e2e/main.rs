//! End to end: the real programs over real processes and a real Redis.
#![allow(clippy::unwrap_used)]

mod acceptance;
mod cluster;
mod determinism;
mod half_space;
mod hostile;
mod images;
mod models;
