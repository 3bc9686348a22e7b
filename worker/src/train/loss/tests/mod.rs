#![allow(clippy::unwrap_used)]

mod macer;
mod selector;

use ddrs_common::spec::Loss;
use tch::{Device, Kind, Tensor};

use super::*;
use crate::train::tests::use_generator;

const INPUTS: i64 = 6;
const PIXELS: i64 = 12;
const HIDDEN: i64 = 5;
const CLASSES: i64 = 3;
const EPSILON: f64 = 0.3;

const SMOOTHADV: Loss = Loss::SmoothAdv {
    draws: 3,
    steps: 2,
    epsilon: EPSILON,
    warm_up: 0,
};
const MACER: Loss = Loss::Macer {
    draws: 4,
    beta: 2.0,
    gamma: 3.0,
    lambda: 1.5,
};
const ALL: [Loss; 3] = [Loss::Gaussian, SMOOTHADV, MACER];

/// A small smooth network in double precision: tanh between two linear layers.
struct SmallNetwork {
    first: Tensor,
    second: Tensor,
}

impl SmallNetwork {
    fn new() -> Self {
        let random = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Double, Device::Cpu)) * 0.7;
        Self {
            first: random([HIDDEN, PIXELS]),
            second: random([CLASSES, HIDDEN]),
        }
    }

    fn of([first, second]: &[Tensor; 2]) -> Self {
        Self {
            first: first.shallow_clone(),
            second: second.shallow_clone(),
        }
    }

    /// The same network with `offset` added to one weight.
    fn with_offset(&self, layer: usize, place: i64, offset: f64) -> Self {
        let layers = self.layers().map(Tensor::copy);
        let _ = layers[layer].view(-1).get(place).f_add_scalar_(offset);
        Self::of(&layers)
    }

    fn layers(&self) -> [&Tensor; 2] {
        [&self.first, &self.second]
    }

    fn scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let flat = images.f_view([-1, PIXELS])?;
        flat.f_linear(&self.first, None::<&Tensor>)?
            .f_tanh()?
            .f_linear(&self.second, None::<&Tensor>)
    }
}

/// Images, labels and sigmas for the network.
struct LossInputs {
    images: Tensor,
    labels: Tensor,
    sigma: Tensor,
}

impl LossInputs {
    fn new() -> Self {
        let labels: Vec<i64> = (0..INPUTS).map(|i| i % CLASSES).collect();
        let sigma: Vec<f64> = (0..INPUTS).map(|i| 0.1 + 0.1 * i as f64).collect();
        let images = Tensor::rand([INPUTS, 3, 2, 2], (Kind::Double, Device::Cpu));
        Self {
            images,
            labels: Tensor::from_slice(&labels),
            sigma: Tensor::from_slice(&sigma),
        }
    }

    fn batch(&self) -> TrainingBatch<'_> {
        TrainingBatch {
            images: &self.images,
            labels: &self.labels,
            sigma: &self.sigma,
        }
    }

    fn noise(&self, draws: u32) -> Tensor {
        let mut shape = self.images.size();
        shape[0] *= i64::from(draws);
        Tensor::randn(&shape[..], (Kind::Double, Device::Cpu))
    }
}

/// The loss of a network. An attack uses `frozen`, because the paper differentiates at the input
/// that the attack found, not through the attack.
fn value(
    of: Loss,
    network: &SmallNetwork,
    frozen: &SmallNetwork,
    inputs: &LossInputs,
    noise: &Tensor,
) -> LossValue {
    let learning = |x: &Tensor| network.scores(x);
    let frozen = |x: &Tensor| frozen.scores(x);
    loss(of, &learning, &frozen, &inputs.batch(), noise, EPSILON).unwrap()
}

fn number(tensor: &Tensor) -> f64 {
    f64::try_from(tensor).unwrap()
}

/// The gradients of the loss by both layers.
fn gradients(of: Loss, network: &SmallNetwork, inputs: &LossInputs, noise: &Tensor) -> Vec<Tensor> {
    let learning = network
        .layers()
        .map(|layer| layer.copy().set_requires_grad(true));
    let loss = value(of, &SmallNetwork::of(&learning), network, inputs, noise).loss;
    Tensor::run_backward(&[loss], &learning, false, false)
}

/// Checks that the comparison covers the hinge: without it the gradients differ.
fn assert_hinge_matters(
    gradients_of_macer: &[Tensor],
    network: &SmallNetwork,
    inputs: &LossInputs,
    noise: &Tensor,
) {
    let Loss::Macer {
        draws, beta, gamma, ..
    } = MACER
    else {
        unreachable!()
    };
    let without_hinge = Loss::Macer {
        draws,
        beta,
        gamma,
        lambda: 0.0,
    };
    let without_hinge = gradients(without_hinge, network, inputs, noise);
    let difference = &without_hinge[0] - &gradients_of_macer[0];
    assert!(number(&difference.abs().max()) > 1e-3);
}

#[test]
fn gradients_equal_finite_differences() {
    const STEP: f64 = 1e-5;
    let _generator = use_generator();
    for of in ALL {
        tch::manual_seed(1);
        let inputs = LossInputs::new();
        let frozen = SmallNetwork::new();
        let noise = inputs.noise(of.draws());
        let gradients = gradients(of, &frozen, &inputs, &noise);
        if let Loss::Macer { .. } = of {
            assert_hinge_matters(&gradients, &frozen, &inputs, &noise);
        }
        for (layer, gradient) in gradients.iter().enumerate() {
            for place in 0..gradient.numel() as i64 {
                let at = |offset| {
                    let moved = frozen.with_offset(layer, place, offset);
                    number(&value(of, &moved, &frozen, &inputs, &noise).loss)
                };
                let difference = (at(STEP) - at(-STEP)) / (2.0 * STEP);
                let found = gradient.view(-1).double_value(&[place]);
                assert!(
                    (found - difference).abs() < 1e-7,
                    "{of:?}, layer {layer} at {place}: {found} for {difference}"
                );
            }
        }
    }
}

#[test]
fn an_attack_stays_in_its_ball_and_raises_the_loss() {
    let _generator = use_generator();
    tch::manual_seed(2);
    let inputs = LossInputs::new();
    let network = SmallNetwork::new();
    let noise = inputs.noise(3);
    let frozen = |x: &Tensor| network.scores(x);
    let moved = attack::attack(&frozen, &inputs.batch(), &noise, 3, 10, EPSILON).unwrap();
    let distances = (&moved - &inputs.images)
        .view([INPUTS, -1])
        .square()
        .sum_dim_intlist(1, false, Kind::Double)
        .sqrt();
    assert!(
        number(&distances.max()) <= EPSILON + 1e-12 && number(&distances.min()) > 0.0,
        "{distances:?}"
    );
    assert!(number(&moved.min()) >= 0.0 && number(&moved.max()) <= 1.0);
    let of_label = |images: &Tensor| {
        let scores = network
            .scores(&noisy(images, &inputs.sigma, &noise, 3).unwrap())
            .unwrap();
        smoothed(&scores, INPUTS, 3)
            .unwrap()
            .gather(1, &inputs.labels.unsqueeze(1), false)
            .log()
            .view(-1)
    };
    let fallen = of_label(&inputs.images) - of_label(&moved);
    assert!(number(&fallen.min()) > 0.0, "{fallen:?}");
}

#[test]
fn an_attack_finds_its_way_where_the_labels_probability_is_0_in_floating_point() {
    let _generator = use_generator();
    tch::manual_seed(4);
    let inputs = LossInputs::new();
    let mut network = SmallNetwork::new();
    network.second *= 1e4;
    let noise = inputs.noise(3);
    let scores = network
        .scores(&noisy(&inputs.images, &inputs.sigma, &noise, 3).unwrap())
        .unwrap();
    let of_label =
        smoothed(&scores, INPUTS, 3)
            .unwrap()
            .gather(1, &inputs.labels.unsqueeze(1), false);
    assert_eq!(number(&of_label.min()), 0.0, "no probability is 0");
    let frozen = |x: &Tensor| network.scores(x);
    let moved = attack::attack(&frozen, &inputs.batch(), &noise, 3, 2, EPSILON).unwrap();
    assert!(moved.isfinite().all().int64_value(&[]) == 1, "{moved:?}");
    assert!(number(&(&moved - &inputs.images).abs().max()) > 0.0);
}

#[test]
fn an_attack_of_no_length_is_training_under_noise() {
    let _generator = use_generator();
    tch::manual_seed(3);
    let inputs = LossInputs::new();
    let network = SmallNetwork::new();
    let noise = inputs.noise(1);
    let scores = |x: &Tensor| network.scores(x);
    let of = |kind, epsilon| {
        number(
            &loss(kind, &scores, &scores, &inputs.batch(), &noise, epsilon)
                .unwrap()
                .loss,
        )
    };
    let smoothadv = Loss::SmoothAdv {
        draws: 1,
        steps: 2,
        epsilon: 1.0,
        warm_up: 0,
    };
    assert!((of(smoothadv, 0.0) - of(Loss::Gaussian, 0.0)).abs() < 1e-12);
}
