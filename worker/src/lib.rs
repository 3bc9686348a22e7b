//! The worker's library: chooses sigma, draws noise, counts classes and trains. The only crate that
//! links libtorch.
//!
//! In reading order:
//! - [`engine`]: certifies images
//! - [`noise`]: Gaussian noise as a function of seed, variant, sample, phase and draw
//! - [`sigma`]: chooses sigma (Algorithm 1)
//! - [`model`]: the networks that score images
//! - [`train`]: training networks
//! - [`attack`]: searches for points that contradict a certificate
//! - `soft_classifier`, `projected_ascent`: the gradients that training and attacks share
//! - [`device`]: the CPU, or a GPU
//! - [`exit`]: the end of a process that uses libtorch
//! - [`failure`]: the errors of libtorch
//!
//! The program adds the command line, the commands and the loop that claims jobs: see `main.rs`.

pub mod attack;
pub mod device;
pub mod engine;
pub mod exit;
pub mod failure;
#[cfg(test)]
#[path = "../../tests/golden/read.rs"]
mod golden;
pub mod model;
pub mod noise;
mod options;
mod projected_ascent;
pub mod sigma;
mod soft_classifier;
pub mod train;
