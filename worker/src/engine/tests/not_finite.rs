//! Scores that are not finite, in every precision, from both kinds of model: their sample fails,
//! and its error says why.

use ddrs_common::spec::{ModelSource, Precision};
use tch::{CModule, Device, Kind, Tensor};

use super::fixture::ModelFixture;
use super::{engine, like_a_gpu};
use crate::engine::Engine;

const PRECISIONS: [Precision; 3] = [Precision::Fp32, Precision::Bf16, Precision::Fp16];
const CERTIFY: &str = "[certify]\nn0 = 10\nn = 100\nalpha = 0.01\nchunk = 10\n";

/// Returns settings with a fixed sigma, one from the gradient, or one from a search.
fn settings(choice: &str) -> String {
    let (choice, steps) = match choice {
        "search" => (
            "data-dependent",
            "method = \"search\"\nrounds = 1\ncandidates = 3\ndraws = 2\n",
        ),
        choice => (choice, "iterations = 2\nlearning-rate = 1e-3\n"),
    };
    let steps = format!("[smoothing.data-dependent]\n{steps}");
    format!("[smoothing]\nsigma = [0.25]\nchoice = [\"{choice}\"]\n{steps}{CERTIFY}")
}

/// Checks that sample 1 of four overflows and fails, and that the others have the same records as
/// without it.
fn fails_alone(engine: &Engine, fixture: &ModelFixture, overflowing: f32) {
    let samples = |bad: Option<f32>| {
        let mut samples: Vec<_> = (0..4).map(|index| fixture.sample(index)).collect();
        if let Some(value) = bad {
            samples[1].image.pixels.fill(value);
        }
        samples
    };
    let sound = fixture.certify(engine, samples(None));
    let found = fixture.certify(engine, samples(Some(overflowing)));
    let error = found[&1].as_ref().expect_err("no class is counted");
    assert!(error.contains("finite"), "{error}");
    for index in [0, 2, 3] {
        assert!(sound[&index].is_ok(), "{:?}", sound[&index]);
        assert_eq!(found[&index], sound[&index]);
    }
}

#[test]
fn a_resnet_that_overflows_fails_its_sample_in_every_precision() {
    for choice in ["fixed", "data-dependent", "search"] {
        let mut fixture = ModelFixture::resnet("cifar-resnet20", 32, &settings(choice));
        for (precision, large) in PRECISIONS.into_iter().zip([3e38, 3e38, 30_000.0]) {
            fixture.sweep.models[0].precision = precision;
            fails_alone(&engine(2), &fixture, large);
        }
    }
}

/// Uses fp16, in which images that overflow show in their scores alone.
#[test]
fn the_same_holds_where_the_device_counts() {
    let mut fixture = ModelFixture::resnet("cifar-resnet20", 32, &settings("fixed"));
    fixture.sweep.models[0].precision = Precision::Fp16;
    fails_alone(&like_a_gpu(), &fixture, 30_000.0);
}

#[test]
fn a_program_whose_scores_are_not_finite_fails_its_sample_in_every_precision() {
    let kinds = [Kind::Float, Kind::BFloat16, Kind::Half];
    for choice in ["fixed", "data-dependent", "search"] {
        let mut fixture = ModelFixture::half_space(&[1.0, 0.5, -0.25, 0.0], 0.0, &settings(choice));
        // One class scores log(2 - mean), the other the mean of the pixels. The logarithm of a
        // negative number is NaN.
        let mut program = |inputs: &[Tensor]| {
            let mean = inputs[0].mean_dim([1, 2, 3].as_slice(), false, None);
            vec![Tensor::stack(&[(-&mean + 2.0).log(), mean], 1)]
        };
        for (precision, kind) in PRECISIONS.into_iter().zip(kinds) {
            let input = Tensor::ones([2, 1, 1, 4], (kind, Device::Cpu));
            let traced =
                CModule::create_by_tracing("m", "forward", &[input], &mut program).unwrap();
            let model = &mut fixture.sweep.models[0];
            model.path.set_extension("pt");
            traced.save(&model.path).unwrap();
            (model.source, model.precision) = (ModelSource::TorchScript, precision);
            fails_alone(&engine(2), &fixture, 9.0);
            fails_alone(&like_a_gpu(), &fixture, 9.0);
        }
    }
}

#[test]
fn a_model_that_is_never_finite_is_refused_before_any_sample() {
    let fixture = ModelFixture::half_space(&[f32::NAN, 0.5], 0.0, &settings("fixed"));
    let error = format!(
        "{:#}",
        engine(1)
            .load(&fixture.sweep.models[0], fixture.shape)
            .err()
            .unwrap()
    );
    assert!(
        error.contains("m.safetensors") && error.contains("are not finite"),
        "{error}"
    );
}

/// Traces a program on this number of images, and returns the error of its first passes.
fn first_error(images: i64, mut program: impl FnMut(&[Tensor]) -> Vec<Tensor>) -> [String; 2] {
    let mut fixture = ModelFixture::half_space(&[1.0, 0.5, -0.25, 0.0], 0.0, &settings("fixed"));
    let input = Tensor::ones([images, 1, 1, 4], (Kind::Float, Device::Cpu));
    let model = &mut fixture.sweep.models[0];
    model.path.set_extension("pt");
    CModule::create_by_tracing("m", "forward", &[input], &mut program)
        .unwrap()
        .save(&model.path)
        .unwrap();
    model.source = ModelSource::TorchScript;
    [engine(1), like_a_gpu()].map(|engine| {
        let loaded = engine.load(&fixture.sweep.models[0], fixture.shape);
        let measured = loaded.and_then(|network| engine.images_per_pass(&network, &fixture.sweep));
        format!("{:#}", measured.unwrap_err())
    })
}

#[test]
fn a_program_that_makes_another_shape_of_some_inputs_is_refused() {
    // One image has scores of the right shape; a batch has one row of scores.
    let program = |inputs: &[Tensor]| {
        let mean = inputs[0].mean_dim([0, 1, 2].as_slice(), false, None);
        vec![mean.view([-1, 4]).narrow(1, 0, 2)]
    };
    for error in first_error(2, program) {
        assert!(
            error.contains("m.pt: the model gives 2 scores for 7 images of 2 classes"),
            "{error}"
        );
    }
}

#[test]
fn a_program_that_was_traced_for_a_fixed_number_of_images_is_told_what_to_do() {
    for images in [1, 2] {
        let program = move |inputs: &[Tensor]| {
            let values = inputs[0].reshape([images, 4]);
            vec![values.narrow(1, 0, 2)]
        };
        for error in first_error(images, program) {
            assert!(
                error.contains("m.pt: images of shape")
                    && error.contains("so that it takes any number"),
                "{error}"
            );
            // A program for two images fails at the first empty image.
            assert_eq!(error.contains("[1, 1, 1, 4]"), images == 2, "{error}");
        }
    }
}
