//! The way of a GPU, tried on the CPU.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ddrs_common::domain::{Phase, Sigma};
use ddrs_common::spec::{ModelSource, Precision};
use tch::{CModule, Device, Kind, Tensor};

use super::fixture::Fixture;
use super::{engine, like_a_gpu};
use crate::engine::board::{Packing, Pass};
use crate::engine::certify::Task;
use crate::engine::input::Input;
use crate::engine::packing::Passes;
use crate::engine::request::Request;
use crate::engine::{Engine, SampleResult};

const FIXED: &str = "[smoothing]\nsigma = [0.5]\n";
const SEARCH: &str = "[smoothing]\nsigma = [0.25]\nchoice = [\"data-dependent\"]\n\
                      [smoothing.data-dependent]\nmethod = \"search\"\nrounds = 2\ncandidates = 3\ndraws = 3\n";
const ASCENT: &str = "[smoothing]\nsigma = [0.25]\nchoice = [\"data-dependent\"]\n\
                      [smoothing.data-dependent]\niterations = 2\ndraws = 2\nlearning-rate = 0.1\n";

fn settings(choice: &str, stopping: &str) -> String {
    format!(
        "{choice}[certify]\nn0 = 12\nn = 130\nalpha = 0.05\nchunk = 60\nstopping = {stopping}\n"
    )
}

/// Records of five samples, in passes as they are found to be best or as told.
fn records(fixture: &Fixture, engine: &Engine, passes: Option<Passes>) -> Vec<SampleResult> {
    let network = engine
        .load(&fixture.sweep.models[0], fixture.shape)
        .unwrap();
    if let Some(passes) = passes {
        engine.known.force(&network, 60, passes);
    }
    let samples = (0..5).map(|index| fixture.sample(index)).collect();
    fixture
        .certify_by(&network, engine, samples)
        .into_values()
        .collect()
}

#[test]
fn records_depend_neither_on_what_shares_a_pass_nor_on_how_large_it_is() {
    for (choice, stopping) in [
        (FIXED, "{ radii = [0.0, 0.25] }"),
        (SEARCH, "\"fixed\""),
        (SEARCH, "{ loss = 0.1 }"),
        (ASCENT, "\"fixed\""),
    ] {
        let fixture = Fixture::resnet("cifar-resnet20", 32, &settings(choice, stopping));
        let in_place = Some(Passes {
            rows: 60,
            packing: Packing::InPlace,
        });
        let reference = records(&fixture, &like_a_gpu(), in_place);
        assert!(reference.iter().all(Result::is_ok), "{reference:?}");
        // A pass smaller than a chunk tears blocks apart, whose noise is then drawn more than once.
        for rows in [25, 120] {
            let passes = Some(Passes {
                rows,
                packing: Packing::Anywhere,
            });
            assert_eq!(
                records(&fixture, &like_a_gpu(), passes),
                reference,
                "{choice} {stopping}, {rows} rows"
            );
        }
        assert_eq!(
            records(&fixture, &like_a_gpu(), None),
            reference,
            "{choice} {stopping}"
        );
    }
}

/// A CPU draws the same noise either way; only the last bit of image + scale · noise may differ,
/// where a processor rounds once instead of twice.
#[test]
fn what_the_device_counts_is_what_the_lanes_count() {
    for precision in [Precision::Fp32, Precision::Bf16] {
        let mut fixture = Fixture::resnet("cifar-resnet20", 32, &settings(FIXED, "\"fixed\""));
        fixture.sweep.models[0].precision = precision;
        let [device, lanes] =
            [like_a_gpu(), engine(1)].map(|engine| records(&fixture, &engine, None));
        for (device, lanes) in device
            .iter()
            .zip(&lanes)
            .map(|(a, b)| (a.as_ref().unwrap(), b.as_ref().unwrap()))
        {
            assert_eq!((device.n0, device.n), (lanes.n0, lanes.n));
            assert!(
                device.count.abs_diff(lanes.count) <= 2,
                "{precision:?}: {device:?} {lanes:?}"
            );
        }
        assert!(
            lanes
                .iter()
                .flatten()
                .any(|record| (1..130).contains(&record.count)),
            "noise decided nothing"
        );
    }
}

/// Its scores are pixels of the batch, which the next pass overwrites before a search reads them.
#[test]
fn a_program_that_returns_part_of_its_input_is_read_in_time() {
    let choice = SEARCH.replace("draws = 3", "draws = 20");
    let mut fixture = Fixture::half_space(
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
    let [device, lanes] = [like_a_gpu(), engine(1)].map(|engine| records(&fixture, &engine, None));
    for (device, lanes) in device
        .iter()
        .zip(&lanes)
        .map(|(a, b)| (a.as_ref().unwrap(), b.as_ref().unwrap()))
    {
        assert!(
            (device.sigma.get() - lanes.sigma.get()).abs() < 1e-6,
            "{device:?} {lanes:?}"
        );
        assert!(
            device.count.abs_diff(lanes.count) <= 2,
            "{device:?} {lanes:?}"
        );
    }
}

#[test]
fn a_batch_is_the_image_and_scaled_noise_rounded_once_and_black_where_nothing_is_wanted() {
    for (precision, kind, allowed) in [
        (Precision::Fp32, Kind::Float, 1e-6),
        (Precision::Bf16, Kind::BFloat16, 1e-2),
        (Precision::Fp16, Kind::Half, 1e-3),
    ] {
        let mut fixture = Fixture::resnet("cifar-resnet20", 32, &settings(FIXED, "\"fixed\""));
        fixture.sweep.models[0].precision = precision;
        let (like_a_gpu, engine, never) = (like_a_gpu(), engine(1), AtomicBool::new(false));
        let batch = |engine: &Engine, rows: std::ops::Range<u64>| {
            let network = engine
                .load(&fixture.sweep.models[0], fixture.shape)
                .unwrap();
            let (sweep, variant) = (&fixture.sweep, &fixture.sweep.variants()[0]);
            let task = Task {
                engine,
                network: &network,
                sweep,
                variant,
                stop: &never,
            };
            let input = Arc::new(Input::new(&fixture.sample(3), &network).unwrap());
            let (sigma, phase) = (Sigma::new(0.3).unwrap(), Phase::Estimate);
            let request = Arc::new(Request::Count {
                sigma,
                phase,
                first: 1,
                n: 14,
                chunk: 10,
            });
            task.batch(&Pass::of(input, request, rows), 12).unwrap()
        };
        // Twice, so that what the first pass left in the buffer shows. The second begins within a
        // chunk.
        for rows in [0..12, 3..14] {
            let [found, expected] =
                [&like_a_gpu, &engine].map(|engine| batch(engine, rows.clone()));
            assert_eq!((found.size(), found.kind()), (vec![12, 3, 32, 32], kind));
            let single = |tensor: &Tensor| tensor.to_kind(Kind::Float);
            assert!(
                single(&expected).allclose(&single(&found), allowed, allowed, false),
                "{precision:?} {rows:?}"
            );
            assert!(rows.end == 12 || found.get(11).abs().max().double_value(&[]) == 0.0);
        }
    }
}

#[test]
fn the_seconds_of_samples_add_up_to_no_more_than_there_were_though_passes_overlap() {
    let fixture = Fixture::resnet("cifar-resnet20", 32, &settings(SEARCH, "\"fixed\""));
    let engine = like_a_gpu();
    let network = engine
        .load(&fixture.sweep.models[0], fixture.shape)
        .unwrap();
    let spent = std::sync::Mutex::new(0.0);
    let tell = |_, result: SampleResult, seconds: f64| {
        result.unwrap();
        *spent.lock().unwrap() += seconds;
    };
    let (variant, mut samples) = (
        &fixture.sweep.variants()[0],
        (0..4).map(|index| fixture.sample(index)),
    );
    engine.passes(&network, 60).unwrap();
    let (start, before) = (Instant::now(), engine.time_split());
    engine
        .certify(
            &network,
            variant,
            &fixture.sweep,
            &mut samples,
            &AtomicBool::new(false),
            &tell,
        )
        .unwrap();
    let (took, spent) = (start.elapsed().as_secs_f64(), *spent.lock().unwrap());
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
