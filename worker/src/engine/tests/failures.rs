//! An error in one sample fails that sample alone, and a stop leaves out only what is not yet done.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use ddrs_common::data::Image;
use ddrs_common::domain::SampleIndex;
use ddrs_common::spec::ModelSpec;

use super::engine;
use super::fixture::ModelFixture;
use crate::engine::{SampleCallback, SampleResult};

const SETTINGS: &str = "[certify]\nn0 = 10\nn = 100\nalpha = 0.01\nchunk = 10\n";

fn fixture(choice: &str) -> ModelFixture {
    let smoothing = format!("[smoothing]\nsigma = [0.5]\nchoice = [\"{choice}\"]\n");
    let steps = "[smoothing.data-dependent]\niterations = 3\nlearning-rate = 0.1\n";
    let steps = if choice == "fixed" { "" } else { steps };
    ModelFixture::half_space(
        &[1.0, 0.5, -0.25, 0.0],
        0.0,
        &format!("{smoothing}{steps}{SETTINGS}"),
    )
}

fn message(result: &SampleResult) -> &str {
    result.as_ref().err().unwrap()
}

#[test]
fn an_image_that_is_not_finite_fails_alone() {
    for choice in ["fixed", "data-dependent"] {
        let fixture = fixture(choice);
        let sound = fixture.certify(
            &engine(2),
            (0..4).map(|index| fixture.sample(index)).collect(),
        );
        let mut samples: Vec<_> = (0..4).map(|index| fixture.sample(index)).collect();
        samples[1].image.pixels[2] = f32::NAN;
        let found = fixture.certify(&engine(2), samples);
        assert!(
            message(&found[&1]).contains("not all finite"),
            "{}",
            message(&found[&1])
        );
        for index in [0, 2, 3] {
            assert_eq!(found[&index], sound[&index]);
        }
    }
}

#[test]
fn an_image_of_another_shape_fails_alone() {
    let fixture = fixture("fixed");
    let mut samples: Vec<_> = (0..3).map(|index| fixture.sample(index)).collect();
    samples[0].image = Image {
        shape: [1, 1, 5],
        pixels: vec![0.0; 5],
    };
    let found = fixture.certify(&engine(1), samples);
    assert!(
        message(&found[&0]).contains("[1, 1, 5]"),
        "{}",
        message(&found[&0])
    );
    assert!(found[&1].is_ok() && found[&2].is_ok());
}

#[test]
fn what_the_model_does_not_take_is_known_before_any_sample() {
    let fixture = fixture("fixed");
    let model = &fixture.sweep.models[0];
    let error = load_error(model, [3, 2, 2]);
    assert!(
        error.contains("m.safetensors") && error.contains("[1, 3, 2, 2]"),
        "{error}"
    );
    let mut other = model.clone();
    other.classes = 3;
    let error = load_error(&other, fixture.shape);
    assert!(
        error.contains("m.safetensors") && error.contains("[1, 2]") && error.contains("3 classes"),
        "{error}"
    );
}

fn load_error(model: &ModelSpec, shape: [usize; 3]) -> String {
    let error = engine(1).load(model, shape).err().unwrap();
    format!("{error:#}")
}

#[test]
fn a_stop_leaves_the_rest_undone() {
    for (choice, threads) in [
        ("fixed", 1),
        ("fixed", 2),
        ("data-dependent", 1),
        ("data-dependent", 2),
    ] {
        let fixture = fixture(choice);
        let engine = engine(threads);
        let network = fixture.load(&engine);
        let samples = || (0..40).map(|index| fixture.sample(index));
        let whole = fixture.certify(&engine, samples().collect());
        let stop = AtomicBool::new(false);
        let results = Mutex::new(Vec::new());
        let stop_at_fifth = |index: SampleIndex, result, _| {
            // The lock is held until the flag is set. Otherwise another thread could report many
            // more results while this one waits for a core.
            let mut results = results.lock().unwrap();
            results.push((index, result));
            if results.len() == 5 {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let certify = |on_result: &SampleCallback| {
            let variant = &fixture.sweep.variants()[0];
            let samples = &mut samples();
            engine.certify(
                &[&network],
                fixture.part(variant),
                samples,
                &stop,
                on_result,
            )
        };
        certify(&stop_at_fifth).unwrap();
        let results = results.into_inner().unwrap();
        // A thread may be past its last look at the flag, and then reports the samples that its
        // pass completes. These are two if the pass has the end of one sample's draws, and the
        // beginning of another's draws that other threads continued. No thread continued from the
        // pass that was taken last, so that one completes one sample.
        assert!(
            (5..4 + 2 * threads).contains(&results.len()),
            "{} results",
            results.len()
        );
        for (index, result) in results {
            assert_eq!(result, whole[&index.0]);
        }
        certify(&|_, _, _| panic!("a stopped call reported a sample")).unwrap();
    }
}
