//! What goes wrong with one sample costs that sample alone, and being told to stop costs what is
//! not yet done.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use ddrs_common::data::Image;

use super::engine;
use super::fixture::Fixture;
use crate::engine::SampleResult;

const SETTINGS: &str = "[certify]\nn0 = 10\nn = 100\nalpha = 0.01\nchunk = 10\n";

fn fixture(choice: &str) -> Fixture {
    let smoothing = format!("[smoothing]\nsigma = [0.5]\nchoice = [\"{choice}\"]\n");
    let steps = "[smoothing.data-dependent]\niterations = 3\nlearning-rate = 0.1\n";
    let steps = if choice == "fixed" { "" } else { steps };
    Fixture::half_space(
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
    let error = format!(
        "{:#}",
        engine(1)
            .load(&fixture.sweep.models[0], [3, 2, 2])
            .err()
            .unwrap()
    );
    assert!(
        error.contains("m.safetensors") && error.contains("[3, 2, 2]"),
        "{error}"
    );
    let mut other = fixture.sweep.models[0].clone();
    other.classes = 3;
    let error = format!("{:#}", engine(1).load(&other, fixture.shape).err().unwrap());
    assert!(
        error.contains("m.safetensors") && error.contains("[1, 2]") && error.contains("3 classes"),
        "{error}"
    );
}

#[test]
fn a_stop_leaves_the_rest_undone() {
    for (choice, lanes) in [
        ("fixed", 1),
        ("fixed", 2),
        ("data-dependent", 1),
        ("data-dependent", 2),
    ] {
        let (fixture, engine) = (fixture(choice), engine(lanes));
        let network = engine
            .load(&fixture.sweep.models[0], fixture.shape)
            .unwrap();
        let samples = || (0..40).map(|index| fixture.sample(index));
        let whole = fixture.certify(&engine, samples().collect());
        let (stop, told) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let tell = |index, result, _| {
            // Held until the flag is set: another lane would tell of many more while this one is
            // kept from its core.
            let mut told = told.lock().unwrap();
            told.push((index, result));
            if told.len() == 5 {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let variant = &fixture.sweep.variants()[0];
        engine
            .certify(
                &network,
                variant,
                &fixture.sweep,
                &mut samples(),
                &stop,
                &tell,
            )
            .unwrap();
        let told = told.into_inner().unwrap();
        // A lane may be past its last look at the flag, and then tells of what its pass completes:
        // of two samples where the pass has the end of one's draws and the beginning of another's
        // with which other lanes went on. Nobody went on from the pass that was taken last, so that
        // one completes one.
        assert!(
            (5..4 + 2 * lanes).contains(&told.len()),
            "{} told",
            told.len()
        );
        for (index, result) in told {
            let index: ddrs_common::domain::SampleIndex = index;
            assert_eq!(result, whole[&index.0]);
        }
        let tell = |_, _, _| panic!("a stopped call told of a sample");
        engine
            .certify(
                &network,
                variant,
                &fixture.sweep,
                &mut samples(),
                &stop,
                &tell,
            )
            .unwrap();
    }
}
