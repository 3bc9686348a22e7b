//! The way in which a GPU works, tested on the CPU.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ddrs_common::domain::{Certification, Phase, Sigma};
use ddrs_common::grid::Grid;
use ddrs_common::spec::{ModelSource, Precision};
use tch::{CModule, Device, Kind, Tensor};

use super::fixture::ModelFixture;
use super::{engine, like_a_gpu};
use crate::engine::batch::make_batch;
use crate::engine::input::PreparedInput;
use crate::engine::packing::{Packing, PassShape};
use crate::engine::pass::Pass;
use crate::engine::request::DrawRequest;
use crate::engine::task::JobContext;
use crate::engine::{Engine, SampleResult};

const FIXED: &str = "[smoothing]\nsigma = [0.5]\n";
const SEARCH: &str = "[smoothing]\nsigma = [0.25]\nchoice = [\"data-dependent\"]\n\
                      [smoothing.data-dependent]\nmethod = \"search\"\n\
                      rounds = 2\ncandidates = 3\ndraws = 3\n";
const ASCENT: &str = "[smoothing]\nsigma = [0.25]\nchoice = [\"data-dependent\"]\n\
                      [smoothing.data-dependent]\niterations = 2\ndraws = 2\nlearning-rate = 0.1\n";

fn settings(choice: &str, stopping: &str) -> String {
    let certify = "[certify]\nn0 = 12\nn = 130\nalpha = 0.05\nchunk = 60\n";
    format!("{choice}{certify}stopping = {stopping}\n")
}

/// Returns the records of five samples, from passes of the given shape or of the measured one.
pub(super) fn records(
    fixture: &ModelFixture,
    engine: &Engine,
    shape: Option<PassShape>,
) -> Vec<SampleResult> {
    let networks = fixture.load_all(engine);
    if let Some(shape) = shape {
        for network in &networks {
            engine.core.packings.force(network, 60, shape);
        }
    }
    let samples = (0..5).map(|index| fixture.sample(index)).collect();
    fixture
        .certify_by(&networks, engine, samples)
        .into_values()
        .collect()
}

/// Returns the certifications of five samples, from passes of the measured shape.
pub(super) fn certified(fixture: &ModelFixture, engine: &Engine) -> Vec<Certification> {
    let records = records(fixture, engine, None);
    records.into_iter().map(Result::unwrap).collect()
}

pub(super) fn shape(rows: u64, packing: Packing) -> PassShape {
    PassShape { rows, packing }
}

#[test]
fn records_depend_neither_on_what_shares_a_pass_nor_on_how_large_it_is() {
    for (choice, stopping) in [
        (FIXED, "{ radii = [0.0, 0.25] }"),
        (SEARCH, "\"fixed\""),
        (SEARCH, "{ loss = 0.1 }"),
        (ASCENT, "\"fixed\""),
    ] {
        let fixture = ModelFixture::resnet("cifar-resnet20", 32, &settings(choice, stopping));
        let in_place = Some(shape(60, Packing::InPlace));
        let reference = records(&fixture, &like_a_gpu(), in_place);
        assert!(reference.iter().all(Result::is_ok), "{reference:?}");
        // A pass smaller than a chunk divides blocks, whose noise is then drawn more than once.
        for shape in [
            Some(shape(25, Packing::Anywhere)),
            Some(shape(120, Packing::Anywhere)),
            None,
        ] {
            let found = records(&fixture, &like_a_gpu(), shape);
            assert_eq!(found, reference, "{choice} {stopping}, {shape:?}");
        }
    }
}

/// A CPU draws the same noise in both modes. Only the last bit of image + scale · noise may differ,
/// where a processor rounds once instead of twice.
#[test]
fn what_the_device_counts_is_what_the_threads_count() {
    for precision in [Precision::Fp32, Precision::Bf16] {
        let mut fixture = ModelFixture::resnet("cifar-resnet20", 32, &settings(FIXED, "\"fixed\""));
        fixture.sweep.models[0].precision = precision;
        let [device, host] = [like_a_gpu(), engine(1)].map(|engine| certified(&fixture, &engine));
        for (device, host) in device.iter().zip(&host) {
            assert_eq!((device.n0, device.n), (host.n0, host.n));
            assert!(
                device.count.abs_diff(host.count) <= 2,
                "{precision:?}: {device:?} {host:?}"
            );
        }
        assert!(
            host.iter().any(|record| (1..130).contains(&record.count)),
            "noise decided nothing"
        );
    }
}

/// The scores are pixels of the batch, which the next pass overwrites before a search reads them.
#[test]
fn a_program_that_returns_part_of_its_input_is_read_in_time() {
    let choice = SEARCH.replace("draws = 3", "draws = 20");
    let mut fixture = ModelFixture::half_space(
        &[1.0, 0.5, -0.25, 0.0],
        0.0,
        &settings(&choice, "\"fixed\""),
    );
    let mut program = |inputs: &[Tensor]| vec![inputs[0].view([-1, 4]).narrow(1, 1, 2)];
    let input = Tensor::ones([2, 1, 1, 4], (Kind::Float, Device::Cpu));
    let traced = CModule::create_by_tracing("m", "forward", &[input], &mut program).unwrap();
    let model = &mut fixture.sweep.models[0];
    model.path.set_extension("pt");
    traced.save(&model.path).unwrap();
    model.source = ModelSource::TorchScript;
    let [device, host] = [like_a_gpu(), engine(1)].map(|engine| certified(&fixture, &engine));
    for (device, host) in device.iter().zip(&host) {
        assert!(
            (device.sigma.get() - host.sigma.get()).abs() < 1e-6
                && device.count.abs_diff(host.count) <= 2,
            "{device:?} {host:?}"
        );
    }
}

#[test]
fn a_batch_that_certifies_is_the_same_to_the_last_bit_wherever_it_is_made() {
    for (precision, kind) in [
        (Precision::Fp32, Kind::Float),
        (Precision::Bf16, Kind::BFloat16),
        (Precision::Fp16, Kind::Half),
    ] {
        let mut fixture = ModelFixture::resnet("cifar-resnet20", 32, &settings(FIXED, "\"fixed\""));
        fixture.sweep.models[0].precision = precision;
        let [device, host] = [like_a_gpu(), engine(1)];
        // Twice, so that the rest of the first pass in the buffer would show. The second pass
        // begins within a chunk.
        for rows in [0..12, 3..14] {
            let [found, expected] =
                [&device, &host].map(|engine| batch(&fixture, engine, rows.clone()));
            assert_eq!((found.size(), found.kind()), (vec![12, 3, 32, 32], kind));
            let [found, expected] = [found, expected].map(|batch| batch.to_kind(Kind::Float));
            assert!(expected.equal(&found), "{precision:?} {rows:?}");
            assert!(rows.end == 12 || found.get(11).abs().max().double_value(&[]) == 0.0);
        }
    }
}

/// Makes a batch of 12 rows, some of which hold the given rows of a request.
fn batch(fixture: &ModelFixture, engine: &Engine, rows: Range<u64>) -> Tensor {
    let network = fixture.load(engine);
    let networks = [&network];
    let never = AtomicBool::new(false);
    let variant = &fixture.sweep.variants()[0];
    let task = JobContext::new(&engine.core, &networks, fixture.part(variant), &never);
    let input = PreparedInput::new(&fixture.sample(3), &network, Grid::BYTES).unwrap();
    let request = DrawRequest::Count {
        network: 0,
        sigma: Sigma::new(0.3).unwrap(),
        phase: Phase::Estimate,
        first: 1,
        n: 14,
        chunk: 10,
    };
    make_batch(&task, &Pass::of(input.into(), request.into(), rows), 12).unwrap()
}

#[test]
fn the_seconds_of_samples_add_up_to_no_more_than_there_were_though_passes_overlap() {
    let fixture = ModelFixture::resnet("cifar-resnet20", 32, &settings(SEARCH, "\"fixed\""));
    let engine = like_a_gpu();
    let network = fixture.load(&engine);
    engine.core.pass_shape(&network, 60).unwrap();
    let spent = Mutex::new(0.0);
    let on_result = |_, result: SampleResult, seconds: f64| {
        result.unwrap();
        *spent.lock().unwrap() += seconds;
    };
    let variant = &fixture.sweep.variants()[0];
    let mut samples = (0..4).map(|index| fixture.sample(index));
    let never = AtomicBool::new(false);
    let before = engine.time_split();
    let start = Instant::now();
    engine
        .certify(
            &[&network],
            fixture.part(variant),
            &mut samples,
            &never,
            &on_result,
        )
        .unwrap();
    let took = start.elapsed().as_secs_f64();
    let spent = *spent.lock().unwrap();
    assert!(spent > 0.0 && spent <= took, "{spent} of {took} s");
    let after = engine.time_split();
    let parts = [
        after.noise - before.noise,
        after.forward - before.forward,
        after.count - before.count,
    ];
    assert!(
        parts.iter().all(|&part| part >= 0.0) && parts[1] > 0.0,
        "{parts:?}"
    );
    assert!(parts.iter().sum::<f64>() <= took, "{parts:?} of {took} s");
}
