//! Certifies samples and collects their results.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, anyhow};
use ddrs_common::domain::SampleIndex;
use ddrs_common::grid::{DataFacts, Grid, ImageFacts};
use ddrs_worker::engine::{Engine, LoadedNetwork, Sample, SampleResult, SweepPart};

/// Results in the order in which samples were finished.
pub(super) type SampleResults = Vec<(SampleIndex, SampleResult)>;

/// Certifies samples and returns the result of each.
pub(super) fn certify(
    engine: &Engine,
    network: &LoadedNetwork,
    part: SweepPart,
    samples: &mut (dyn Iterator<Item = Sample> + Send),
) -> Result<SampleResults> {
    let results = Mutex::default();
    let keep = |index, result, _| push(&results, index, result);
    let never = AtomicBool::new(false);
    engine.certify(&[network], part, samples, &never, &keep)?;
    let results = results.into_inner();
    results.map_err(|_| anyhow!("a worker thread panicked"))
}

fn push(results: &Mutex<SampleResults>, index: SampleIndex, result: SampleResult) {
    if let Ok(mut results) = results.lock() {
        results.push((index, result));
    }
}

/// Returns the facts about images of bytes that no dataset holds.
pub(super) fn facts_of(shape: [usize; 3]) -> DataFacts {
    DataFacts {
        len: u64::MAX,
        digest: [0; 32],
        images: ImageFacts {
            shape,
            grid: Grid::BYTES,
        },
    }
}
