//! What shares a forward pass changes no record, under any way of choosing sigma and any rule of
//! stopping.

use ddrs_common::spec::Precision;

use super::engine;
use super::fixture::Fixture;
use crate::engine::board::Packing;
use crate::engine::packing::Passes;
use crate::engine::{Engine, SampleResult};

const SEARCH: &str = "[smoothing]\nsigma = [0.25]\nchoice = [\"data-dependent\"]\n\
                      [smoothing.data-dependent]\nmethod = \"search\"\nrounds = 2\ncandidates = 3\ndraws = 3\n";
const FIXED: &str = "[smoothing]\nsigma = [0.5]\n";

fn certify(n: u64, stopping: &str) -> String {
    format!("[certify]\nn0 = 12\nn = {n}\nalpha = 0.05\nchunk = 60\nstopping = {stopping}\n")
}

/// Records of four samples where passes are of one kind, or of the kind that is found to be best.
fn records(fixture: &Fixture, engine: &Engine, passes: Option<Passes>) -> Vec<SampleResult> {
    let network = engine
        .load(&fixture.sweep.models[0], fixture.shape)
        .unwrap();
    if let Some(passes) = passes {
        engine.known.force(&network, 50, passes);
    }
    let samples = (0..4).map(|index| fixture.sample(index)).collect();
    fixture
        .certify_by(&network, engine, samples)
        .into_values()
        .collect()
}

fn check(settings: &str) -> Vec<SampleResult> {
    let fixture = Fixture::resnet("cifar-resnet20", 32, settings);
    let reference = records(
        &fixture,
        &engine(1),
        Some(Passes {
            rows: 50,
            packing: Packing::InPlace,
        }),
    );
    assert!(reference.iter().all(Result::is_ok), "{reference:?}");
    let of = |rows| {
        Some(Passes {
            rows,
            packing: Packing::Anywhere,
        })
    };
    for (lanes, passes) in [
        (1, of(50)),
        (2, of(50)),
        (2, of(25)),
        (1, of(200)),
        (3, None),
        (1, None),
    ] {
        assert_eq!(
            records(&fixture, &engine(lanes), passes),
            reference,
            "{lanes} lanes, {passes:?}"
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
    for precision in [Precision::Fp32, Precision::Bf16] {
        let mut fixture = Fixture::resnet(
            "cifar-resnet20",
            32,
            &format!("{FIXED}{}", certify(130, "\"fixed\"")),
        );
        fixture.sweep.models[0].precision = precision;
        let engine = engine(1);
        let network = engine
            .load(&fixture.sweep.models[0], fixture.shape)
            .unwrap();
        let found = engine.passes(&network, 50).unwrap();
        assert_eq!(found.packing, Packing::Anywhere, "{precision:?}");
        assert!(
            [25, 50, 100].contains(&found.rows),
            "{precision:?}: {found:?}"
        );
        assert_eq!(engine.passes(&network, 50).unwrap(), found, "asked again");
    }
}
