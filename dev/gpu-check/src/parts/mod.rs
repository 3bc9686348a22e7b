//! The parts.

pub(crate) mod again;
mod bench_rows;
pub(crate) mod compare;
pub(crate) mod peers;
pub(crate) mod speed;
pub(crate) mod training;
pub(crate) mod training_speed;
