//! Input that nobody here wrote: damaged, invented or hostile. Nothing panics, every error names
//! its file and where there is one its line or key, and what is valid comes back as it was.
//!
//! The cases of a test follow from one seed, `DDRS_FUZZ_SEED`, and their number is
//! `PROPTEST_CASES`; `make fuzz` runs many with a seed of its own, which a failure names.
#![allow(clippy::unwrap_used)]

mod damage;
mod data;
mod images;
mod logs;
mod messages;
mod models;
mod records;
mod replies;
mod spec;

use std::path::PathBuf;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};

/// What `make test` runs of each target: the same cases every time.
const CASES: u32 = 400;
const SEED: u64 = 1;

/// Holds a property against many cases.
#[track_caller]
fn fuzz<S: Strategy>(cases: &S, property: impl Fn(S::Value) -> TestCaseResult) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect(name))
    };
    let seed = number("DDRS_FUZZ_SEED").unwrap_or(SEED);
    let most = number("PROPTEST_CASES").map_or(CASES, |cases| cases as u32);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: most,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    if let Err(error) = runner.run(cases, property) {
        panic!("DDRS_FUZZ_SEED={seed} PROPTEST_CASES={most} repeats this: {error}");
    }
}

/// A folder for one target, and a file in it that every case overwrites.
fn file(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    (dir, path)
}
