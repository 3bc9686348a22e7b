#![allow(clippy::unwrap_used)]

mod board;
mod device;
mod fixture;
mod lane;
mod not_finite;
mod packing;
mod reproducible;
mod search;
mod statistics;
mod trouble;

/// All tests here share the CPU's lanes with each other, as several workers of one machine would.
fn engine(lanes: usize) -> super::Engine {
    super::Engine::new(&super::EngineOptions {
        device: "cpu".to_owned(),
        threads: Some(lanes),
    })
    .unwrap()
}

/// The CPU treated as a GPU is: one lane ahead of its device, which makes the batches and counts
/// the classes. All but the generator of the noise and the kernels is what a GPU has.
fn like_a_gpu() -> super::Engine {
    super::Engine {
        side: super::Side::Device,
        ..engine(1)
    }
}
