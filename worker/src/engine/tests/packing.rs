//! What shares a forward pass changes no record, under any way of choosing sigma and any rule of stopping.

use ddrs_common::spec::Precision;

use super::engine;
use super::fixture::Fixture;
use crate::engine::board::Packing;
use crate::engine::{Engine, SampleResult};

const SEARCH: &str = "[smoothing]\nsigma = [0.25]\nchoice = [\"data-dependent\"]\n\
                      [smoothing.data-dependent]\nmethod = \"search\"\nrounds = 2\ncandidates = 3\ndraws = 3\n";
const FIXED: &str = "[smoothing]\nsigma = [0.5]\n";

fn certify(n: u64, stopping: &str) -> String {
    format!("[certify]\nn0 = 12\nn = {n}\nalpha = 0.05\nchunk = 60\nstopping = {stopping}\n")
}

/// Records of four samples where passes are packed in one way, or in the way the network allows.
fn records(fixture: &Fixture, engine: &Engine, packing: Option<Packing>) -> Vec<SampleResult> {
    let network = engine.load(&fixture.sweep.models[0], fixture.shape).unwrap();
    if let Some(packing) = packing {
        network.force(50, packing);
    }
    let samples = (0..4).map(|index| fixture.sample(index)).collect();
    fixture.certify_by(&network, engine, samples).into_values().collect()
}

fn check(settings: &str) -> Vec<SampleResult> {
    let fixture = Fixture::resnet("cifar-resnet20", 32, settings);
    let reference = records(&fixture, &engine(1), Some(Packing::InPlace));
    assert!(reference.iter().all(Result::is_ok), "{reference:?}");
    for (lanes, packing) in [(1, Some(Packing::Anywhere)), (2, Some(Packing::Anywhere)), (3, None), (1, None)] {
        assert_eq!(records(&fixture, &engine(lanes), packing), reference, "{lanes} lanes, {packing:?}");
    }
    reference
}

#[test]
fn records_do_not_depend_on_what_shares_a_pass() {
    for choice in [FIXED, SEARCH] {
        for stopping in ["\"fixed\"", "{ radii = [0.0, 0.25] }", "{ loss = 0.1 }"] {
            check(&format!("{choice}{}", certify(130, stopping)));
        }
    }
}

#[test]
fn searched_sigmas_are_those_of_their_inputs() {
    let records = check(&format!("{SEARCH}{}", certify(30, "\"fixed\"")));
    let mut sigmas: Vec<_> = records.iter().map(|record| record.as_ref().unwrap().sigma.get().to_bits()).collect();
    sigmas.sort_unstable();
    sigmas.dedup();
    assert!(sigmas.len() > 1, "{records:?}");
}

#[test]
fn residual_networks_score_alike_in_every_row() {
    for precision in [Precision::Fp32, Precision::Bf16] {
        let mut fixture = Fixture::resnet("cifar-resnet20", 32, &format!("{FIXED}{}", certify(130, "\"fixed\"")));
        fixture.sweep.models[0].precision = precision;
        let engine = engine(1);
        let network = engine.load(&fixture.sweep.models[0], fixture.shape).unwrap();
        let found = engine.lanes.install(|| network.packing(50, engine.device)).unwrap();
        assert_eq!(found, Packing::Anywhere, "{precision:?}");
    }
}
