//! The worker: chooses sigma, draws noise, counts classes. The only crate that links libtorch.
//!
//! In reading order:
//! - [`cli`]: the command line as written
//! - [`run`]: claims jobs, certifies their samples, records them
//! - [`engine`]: images in, certifications out
//! - [`noise`]: Gaussian noise as a pure function of what it is for
//! - [`sigma`]: choosing sigma (Algorithm 1)
//! - [`model`]: the networks that score images
//! - [`train`]: training networks
//! - [`device`]: the CPU, or a GPU
//! - [`commands`]: certifying one sample, measuring speed

pub mod cli;
pub mod commands;
pub mod device;
pub mod engine;
pub mod exit;
pub mod model;
pub mod noise;
pub mod run;
pub mod sigma;
pub mod train;
