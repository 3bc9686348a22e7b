#![allow(clippy::unwrap_used)]

mod fixture;
mod not_finite;
mod packing;
mod reproducible;
mod search;
mod statistics;
mod trouble;

/// All tests here share the CPU's lanes with each other, as several workers of one machine would.
fn engine(lanes: usize) -> super::Engine {
    super::Engine::new(&crate::cli::DeviceArgs { device: "cpu".to_owned(), threads: Some(lanes) }).unwrap()
}
