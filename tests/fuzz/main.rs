//! Tests the readers with damaged, invented and hostile input. No input may cause a panic. Every
//! error must name its file, and its line or key if there is one. Valid input must be read back
//! unchanged.
//!
//! `DDRS_FUZZ_SEED` is the seed of the cases, and `PROPTEST_CASES` their number. `make fuzz` runs
//! many cases with a new seed. A failure prints both values.
#![allow(clippy::unwrap_used)]

mod arrays;
mod checkpoints;
mod damage;
mod data;
mod images;
mod labels;
mod logs;
mod messages;
mod models;
mod records;
mod replies;
mod spec;

use std::path::PathBuf;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};

/// The number of cases per test in `make test`. The seed is fixed, so the cases are the same in
/// each run.
const CASES: u32 = 400;
const SEED: u64 = 1;

/// Checks a property with many cases.
#[track_caller]
fn fuzz<S: Strategy>(cases: &S, property: impl Fn(S::Value) -> TestCaseResult) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect(name))
    };
    let seed = number("DDRS_FUZZ_SEED").unwrap_or(SEED);
    let cases_to_run = number("PROPTEST_CASES").map_or(CASES, |cases| cases as u32);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: cases_to_run,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    if let Err(error) = runner.run(cases, property) {
        panic!("{error}; repeat it with DDRS_FUZZ_SEED={seed} PROPTEST_CASES={cases_to_run}");
    }
}

/// Returns a folder for one test, and the path of a file in it that every case overwrites.
fn file(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    (dir, path)
}
