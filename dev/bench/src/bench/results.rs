//! Certifies samples and collects their results.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, anyhow};
use ddrs_common::domain::SampleIndex;
use ddrs_common::spec::{Sweep, Variant};
use ddrs_worker::engine::{Engine, LoadedNetwork, Sample, SampleResult};

/// Results in the order in which samples were finished.
pub(super) type SampleResults = Vec<(SampleIndex, SampleResult)>;

/// Certifies samples and returns the result of each.
pub(super) fn certify(
    engine: &Engine,
    network: &LoadedNetwork,
    variant: &Variant,
    sweep: &Sweep,
    samples: &mut (dyn Iterator<Item = Sample> + Send),
) -> Result<SampleResults> {
    let results = Mutex::default();
    let keep = |index, result, _| push(&results, index, result);
    let never = AtomicBool::new(false);
    engine.certify(network, variant, sweep, samples, &never, &keep)?;
    let results = results.into_inner();
    results.map_err(|_| anyhow!("a worker thread panicked"))
}

fn push(results: &Mutex<SampleResults>, index: SampleIndex, result: SampleResult) {
    if let Ok(mut results) = results.lock() {
        results.push((index, result));
    }
}
