//! The rows that share a forward pass change no record, under every way of choosing sigma and every
//! stopping rule.

use ddrs_common::spec::Precision;
use tch::Device;

use super::engine;
use super::fixture::ModelFixture;
use crate::engine::packing::{Packing, PassShape};
use crate::engine::{Engine, SampleResult};

const SEARCH: &str = "[smoothing]\nsigma = [0.25]\nchoice = [\"data-dependent\"]\n\
                      [smoothing.data-dependent]\nmethod = \"search\"\n\
                      rounds = 2\ncandidates = 3\ndraws = 3\n";
const FIXED: &str = "[smoothing]\nsigma = [0.5]\n";

fn certify(n: u64, stopping: &str) -> String {
    format!("[certify]\nn0 = 12\nn = {n}\nalpha = 0.05\nchunk = 60\nstopping = {stopping}\n")
}

/// Returns the records of four samples, from passes of one shape or of the measured one.
fn records(fixture: &ModelFixture, engine: &Engine, shape: Option<PassShape>) -> Vec<SampleResult> {
    let network = fixture.load(engine);
    if let Some(shape) = shape {
        engine.core.packings.force(&network, 50, shape);
    }
    let samples = (0..4).map(|index| fixture.sample(index)).collect();
    fixture
        .certify_by(std::slice::from_ref(&network), engine, samples)
        .into_values()
        .collect()
}

fn shape(rows: u64, packing: Packing) -> PassShape {
    PassShape { rows, packing }
}

fn check(settings: &str) -> Vec<SampleResult> {
    let fixture = ModelFixture::resnet("cifar-resnet20", 32, settings);
    let in_place = Some(shape(50, Packing::InPlace));
    let reference = records(&fixture, &engine(1), in_place);
    assert!(reference.iter().all(Result::is_ok), "{reference:?}");
    for (threads, shape) in [
        (1, Some(shape(50, Packing::Anywhere))),
        (2, Some(shape(50, Packing::Anywhere))),
        (2, Some(shape(25, Packing::Anywhere))),
        (1, Some(shape(200, Packing::Anywhere))),
        (3, None),
        (1, None),
    ] {
        assert_eq!(
            records(&fixture, &engine(threads), shape),
            reference,
            "{threads} threads, {shape:?}"
        );
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
    let mut sigmas: Vec<_> = records
        .iter()
        .map(|record| record.as_ref().unwrap().sigma.get().to_bits())
        .collect();
    sigmas.sort_unstable();
    sigmas.dedup();
    assert!(sigmas.len() > 1, "{records:?}");
}

#[test]
fn residual_networks_score_alike_in_every_row() {
    let settings = format!("{FIXED}{}", certify(130, "\"fixed\""));
    for precision in [Precision::Fp32, Precision::Bf16] {
        let mut fixture = ModelFixture::resnet("cifar-resnet20", 32, &settings);
        fixture.sweep.models[0].precision = precision;
        let engine = engine(1);
        let network = fixture.load(&engine);
        let found = engine.core.pass_shape(&network, 50).unwrap();
        assert_eq!(found.packing, Packing::Anywhere, "{precision:?}");
        assert!(
            [25, 50, 100].contains(&found.rows),
            "{precision:?}: {found:?}"
        );
        let again = engine.core.pass_shape(&network, 50).unwrap();
        assert_eq!(again, found, "at the second call");
    }
}

/// Checks the network of a sweep in passes of two sizes.
fn check_company(fixture: &mut ModelFixture, precisions: &[Precision]) {
    for &precision in precisions {
        fixture.sweep.models[0].precision = precision;
        let engine = engine(1);
        let network = fixture.load(&engine);
        for rows in [16, 50] {
            let check = || network.check_coupling(rows, Device::Cpu);
            engine.core.threads.install(check).unwrap();
        }
    }
}

#[test]
fn every_network_scores_an_image_alike_in_any_company() {
    let settings = format!("{FIXED}{}", certify(130, "\"fixed\""));
    for (architecture, side) in [
        ("cifar-resnet20", 32),
        ("cifar-resnet110", 32),
        ("resnet18", 64),
        ("resnet50", 64),
    ] {
        let mut fixture = ModelFixture::resnet(architecture, side, &settings);
        check_company(&mut fixture, &[Precision::Fp32, Precision::Bf16]);
    }
    let weight: Vec<f32> = (0..3072).map(|place| (place as f32).sin()).collect();
    let mut fixture = ModelFixture::half_space(&weight, 0.1, &settings);
    check_company(&mut fixture, &[Precision::Fp32]);
}
