#![allow(clippy::unwrap_used)]

use ddrs_common::domain::Sigma;
use ddrs_common::spec::SigmaMethod;
use serde_json::Value;
use tch::Device;

use super::*;

fn spec(iterations: u32, draws: u32, learning_rate: f64, range: (f64, f64)) -> DataDependentSpec {
    let range = (Sigma::new(range.0).unwrap(), Sigma::new(range.1).unwrap());
    DataDependentSpec {
        method: SigmaMethod::Gradient,
        iterations,
        draws,
        learning_rate,
        clamp: 0.02,
        range,
    }
}

fn doubles(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(doubles).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

/// A linear softmax classifier, as the golden trajectories have it.
fn linear(
    weight: &[f64],
    bias: &[f64],
    kind: Kind,
) -> impl Fn(&Tensor) -> Result<Tensor, TchError> + use<> {
    let bias = Tensor::from_slice(bias).to_kind(kind);
    let weight = Tensor::from_slice(weight)
        .view([bias.size()[0], -1])
        .to_kind(kind);
    move |batch| batch.f_linear(&weight, Some(&bias))
}

/// Sigma of every input of a golden case after `iterations` steps, all inputs in one batch.
fn replay(case: &Value, iterations: u32, kind: Kind) -> Vec<f64> {
    let number = |key: &str| case[key].as_f64().unwrap();
    let inputs = case["inputs"].as_array().unwrap();
    let draws = case["draws"].as_u64().unwrap() as u32;
    let mut spec = spec(iterations, draws, number("learning_rate"), (1e-9, 1e9));
    spec.clamp = number("clamp");
    let images: Vec<f64> = inputs
        .iter()
        .flat_map(|input| doubles(&input["x"]))
        .collect();
    let images = Tensor::from_slice(&images)
        .view([inputs.len() as i64, -1])
        .to_kind(kind);
    let noise = |step: u64| -> Result<Tensor, TchError> {
        let noise: Vec<f64> = inputs
            .iter()
            .flat_map(|input| doubles(&input["noise"][step as usize]))
            .collect();
        Ok(Tensor::from_slice(&noise)
            .view([-1, images.size()[1]])
            .to_kind(kind))
    };
    let scores = linear(&doubles(&case["weight"]), &doubles(&case["bias"]), kind);
    let sigma0 = vec![number("sigma0"); inputs.len()];
    ascend(&images, &sigma0, &spec, &scores, noise)
        .unwrap()
        .into_iter()
        .map(Option::unwrap)
        .collect()
}

#[test]
fn golden_trajectories_are_followed() {
    let golden = crate::golden::json("sigma_trajectory.json");
    for case in golden["cases"].as_array().unwrap() {
        let steps = case["iterations"].as_u64().unwrap() as u32;
        for iterations in 0..=steps {
            let double = replay(case, iterations, Kind::Double);
            let single = replay(case, iterations, Kind::Float);
            for ((input, double), single) in case["inputs"]
                .as_array()
                .unwrap()
                .iter()
                .zip(double)
                .zip(single)
            {
                let expected = input["sigma"][iterations as usize].as_f64().unwrap();
                let name = &case["name"];
                assert!(
                    (double - expected).abs() < 1e-9,
                    "{name}, step {iterations}: {double} for {expected}"
                );
                assert!(
                    (single - expected).abs() < 1e-3,
                    "{name}, step {iterations}, fp32: {single} for {expected}"
                );
            }
        }
    }
}

/// Two classes on a line, the boundary at 0: an input far from it gains by more noise.
fn on_a_line(x: &[f64], spec: &DataDependentSpec, noise: f64) -> Vec<Option<f64>> {
    let images = Tensor::from_slice(x).view([-1, 1]);
    let rows = x.len() as i64 * i64::from(spec.draws);
    let noise = |_| Tensor::f_full([rows, 1], noise, (Kind::Double, Device::Cpu));
    ascend(
        &images,
        &vec![0.5; x.len()],
        spec,
        &linear(&[-1.0, 1.0], &[0.0, 0.0], Kind::Double),
        noise,
    )
    .unwrap()
}

#[test]
fn sigma_never_leaves_its_range() {
    let spec = |steps| spec(steps, 1, 1e3, (0.25, 0.75));
    for steps in 1..5 {
        assert_eq!(
            on_a_line(&[1.0], &spec(steps), 1.0),
            [Some(0.75)],
            "after {steps} steps"
        );
    }
    // Noise that pulls back over the boundary: less of it is better.
    assert_eq!(on_a_line(&[1.0], &spec(1), -1.9), [Some(0.25)]);
}

#[test]
fn no_step_leaves_sigma_where_it_began() {
    assert_eq!(
        on_a_line(&[1.0, -1.0], &spec(0, 3, 1.0, (0.01, 4.0)), 1.0),
        [Some(0.5), Some(0.5)]
    );
}

#[test]
fn what_is_not_finite_costs_its_own_input_alone() {
    let spec = spec(3, 2, 0.01, (0.01, 4.0));
    let sound = on_a_line(&[0.3, 0.2, 0.1], &spec, 0.5);
    assert!(sound.iter().all(Option::is_some));
    for bad in [f64::NAN, f64::INFINITY] {
        assert_eq!(
            on_a_line(&[0.3, bad, 0.1], &spec, 0.5),
            [sound[0], None, sound[2]],
            "{bad}"
        );
    }
}

#[test]
fn an_infinite_derivative_is_no_sigma() {
    // The scores' derivative overflows where the scores themselves are finite.
    let spec = spec(1, 1, 0.01, (0.01, 4.0));
    let images = Tensor::from_slice(&[-0.5]).view([1, 1]);
    let scores = |batch: &Tensor| {
        let steep = batch
            .f_mul_scalar(1e200)?
            .f_mul_scalar(1e200)?
            .f_clamp(-0.1, 0.1)?;
        Tensor::f_cat(&[steep.f_neg()?, steep], 1)
    };
    let noise = |_| Tensor::f_ones([1, 1], (Kind::Double, Device::Cpu));
    assert_eq!(
        ascend(&images, &[0.5], &spec, &scores, noise).unwrap(),
        [None]
    );
}

#[test]
fn a_derivative_that_overflows_in_half_precision_is_no_sigma() {
    let spec = spec(1, 1, 0.01, (1e-9, 4.0));
    let ascend = |steep: f64| {
        let images = Tensor::from_slice(&[0f32]).view([1, 1]);
        // Scores of about 1 that single precision would differentiate without trouble.
        let scores = |batch: &Tensor| {
            let score = batch
                .f_to_kind(Kind::Half)?
                .f_mul_scalar(steep)?
                .f_mul_scalar(steep)?;
            Tensor::f_cat(&[score.f_zeros_like()?, score], 1)
        };
        let noise = |_| Tensor::f_full([1, 1], 1.0 / (steep * steep), (Kind::Float, Device::Cpu));
        ascend(
            &images,
            &vec![1.0; images.size()[0] as usize],
            &spec,
            &scores,
            noise,
        )
        .unwrap()
    };
    assert!(ascend(10.0)[0].is_some());
    assert_eq!(ascend(3000.0), [None]);
}

#[test]
fn a_class_that_scores_minus_infinity_is_not_passed_over() {
    let spec = spec(1, 1, 0.01, (0.01, 4.0));
    let images = Tensor::from_slice(&[0.1, 0.1]).view([2, 1]);
    let scores = |batch: &Tensor| {
        let never = Tensor::from_slice(&[f64::NEG_INFINITY, -9.0]).view([2, 1]);
        Tensor::f_cat(&[batch.f_neg()?, batch.shallow_clone(), never], 1)
    };
    let noise = |_| Tensor::f_ones([2, 1], (Kind::Double, Device::Cpu));
    let sigmas = ascend(
        &images,
        &vec![0.5; images.size()[0] as usize],
        &spec,
        &scores,
        noise,
    )
    .unwrap();
    assert!(sigmas[0].is_none() && sigmas[1].is_some(), "{sigmas:?}");
}

/// [`estimate`] is the same estimate for plain numbers.
#[test]
fn numbers_and_tensors_have_the_same_estimated_radius() {
    for psi in [
        vec![0.7, 0.2, 0.1],
        vec![0.1, 0.45, 0.45],
        vec![0.999, 0.001, 0.0],
        vec![0.3, 0.3, 0.4],
    ] {
        let row = Tensor::from_slice(&psi).view([1, 3]);
        let tensor = estimated_radius(&Tensor::from_slice(&[0.5]), &row, 0.02).unwrap();
        let scalar = estimate(Sigma::new(0.5).unwrap(), &psi, 0.02);
        let difference = tensor.double_value(&[0]) - scalar;
        assert!(difference.abs() < 1e-12, "{psi:?}: {difference}");
    }
}
