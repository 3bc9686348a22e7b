//! The coordinator: plans sweeps, keeps their queue and turns records into tables.
//!
//! In reading order:
//! - [`memory`]: certificates of one variant made consistent with each other

pub mod memory;
