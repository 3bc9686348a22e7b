use super::*;
use crate::train::loss::macer;

#[test]
fn macers_hinge_counts_right_answers_alone_and_ends_at_gamma() {
    let labels = Tensor::from_slice(&[0_i64, 1]);
    let images = Tensor::zeros([2, 1], (Kind::Double, Device::Cpu));
    let sigma = Tensor::from_slice(&[0.5, 0.25]);
    let batch = TrainingBatch {
        images: &images,
        labels: &labels,
        sigma: &sigma,
    };
    // One draw per input. Both are classified as 0, which is right for the first alone. zeta is
    // (0.9, 0.1).
    let score = 9.0_f64.ln();
    let scores = Tensor::from_slice(&[score, 0.0, score, 0.0]).view([2, 2]);
    let gap = 2.0 * 1.281_551_565_544_600_4;
    let classification = -(0.9_f64.ln() + 0.1_f64.ln());
    for (gamma, hinge) in [(8.0, 8.0 - gap), (1.0, 0.0)] {
        let weights = macer::MacerWeights {
            beta: 1.0,
            gamma,
            lambda: 12.0,
        };
        let value = macer::loss(&scores, &batch, 1, weights).unwrap();
        let expected = f64::midpoint(classification, 12.0 * 0.25 * hinge);
        assert!(
            (number(&value.loss) - expected).abs() < 1e-9,
            "gamma {gamma}: {value:?} for {expected}"
        );
        assert_eq!(value.correct.int64_value(&[]), 1);
    }
}

/// MACER's loss for one input with two classes and label 1, at these scores.
fn of_one_input(scores: &Tensor) -> Tensor {
    let labels = Tensor::from_slice(&[1_i64]);
    let images = Tensor::zeros([1, 1], (Kind::Double, Device::Cpu));
    let batch = TrainingBatch {
        images: &images,
        labels: &labels,
        sigma: &Tensor::from_slice(&[0.5]),
    };
    macer::loss(
        scores,
        &batch,
        1,
        macer::MacerWeights {
            beta: 16.0,
            gamma: 8.0,
            lambda: 12.0,
        },
    )
    .unwrap()
    .loss
}

#[test]
fn macer_learns_where_the_labels_probability_is_0_in_floating_point() {
    let scores = Tensor::from_slice(&[1e4, -1e4])
        .view([1, 2])
        .set_requires_grad(true);
    let loss = of_one_input(&scores);
    assert!((number(&loss) - 2e4).abs() < 1e-6, "{loss:?}");
    let gradient = Tensor::run_backward(&[loss], &[&scores], false, false).remove(0);
    assert_eq!(
        Vec::<f64>::try_from(gradient.view(-1)).unwrap(),
        [1.0, -1.0]
    );
}

#[test]
fn macer_hides_no_score_that_is_not_finite() {
    for score in [f64::NAN, f64::INFINITY] {
        assert!(
            !number(&of_one_input(
                &Tensor::from_slice(&[score, 0.0]).view([1, 2])
            ))
            .is_finite(),
            "{score}"
        );
    }
}
