use super::*;
use crate::train::loss::selector;

#[test]
fn a_selector_learns_only_where_the_choice_matters_and_by_how_much() {
    // Three inputs, two levels: the second level is better by 0.5, both are alike, the first is
    // better by 0.25.
    let radii = Tensor::from_slice(&[0.0, 0.5, 0.75, 0.75, 0.5, 0.25]).view([3, 2]);
    let images = Tensor::zeros([3, 1], (Kind::Double, Device::Cpu));
    let sigma = Tensor::from_slice(&[0.5, 0.5, 0.5]);
    let batch = TrainingBatch {
        images: &images,
        labels: &radii,
        sigma: &sigma,
    };
    // The softmax of each input is (0.75, 0.25).
    let score = 3.0_f64.ln();
    let scores = Tensor::from_slice(&[score, 0.0, score, 0.0, score, 0.0]).view([3, 2]);
    let scores = scores.set_requires_grad(true);
    let value = selector::loss(&scores, &batch).unwrap();
    let expected = -(0.5 * 0.25_f64.ln() + 0.25 * 0.75_f64.ln()) / 3.0;
    assert!((number(&value.loss) - expected).abs() < 1e-12, "{value:?}");
    // The radii of the first level.
    assert!((number(&value.correct) - 1.25).abs() < 1e-12);
    value.loss.backward();
    let gradient: Vec<f64> = Vec::try_from(scores.grad().view(-1)).unwrap();
    let expected = [0.5 * 0.75 / 3.0, 0.0, -0.25 * 0.25 / 3.0];
    for (found, expected) in gradient.iter().step_by(2).zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{gradient:?}");
    }
}
