#![allow(clippy::unwrap_used)]

mod device_mode;
mod exploits;
mod failures;
mod fixture;
mod not_finite;
mod packing;
mod reproducible;
mod row_queue;
mod scheduler;
mod search;
mod selected;
mod statistics;

use super::batch_mode::BatchMode;
use super::{Engine, EngineOptions};

/// Makes an engine on the CPU. All tests here share the cores with each other, as several workers
/// of one machine would.
fn engine(threads: usize) -> Engine {
    Engine::new(&EngineOptions {
        device: "cpu".to_owned(),
        threads: Some(threads),
    })
    .unwrap()
}

/// Makes an engine that treats the CPU as a GPU: one thread ahead of its device, which makes the
/// batches and counts the classes. Only the generator of the noise and the kernels differ from a
/// GPU's.
fn like_a_gpu() -> Engine {
    let mut engine = engine(1);
    engine.core.mode = BatchMode::Device;
    engine
}
