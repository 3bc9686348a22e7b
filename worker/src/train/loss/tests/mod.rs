#![allow(clippy::unwrap_used)]

mod macer;

use ddrs_common::spec::Loss;
use tch::{Device, Kind, Tensor};

use super::*;
use crate::train::tests::alone;

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
struct Small {
    first: Tensor,
    second: Tensor,
}

impl Small {
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

/// Images, labels, sigmas and noise for the network.
struct Fixture {
    images: Tensor,
    labels: Tensor,
    sigma: Tensor,
}

impl Fixture {
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

    fn batch(&self) -> Batch<'_> {
        Batch {
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

/// The loss of a network whose attack, if there is one, sees `frozen`: the paper differentiates at
/// the input that the attack found, not through the attack.
fn value(of: Loss, network: &Small, frozen: &Small, fixture: &Fixture, noise: &Tensor) -> Value {
    let (learning, frozen) = (
        |x: &Tensor| network.scores(x),
        |x: &Tensor| frozen.scores(x),
    );
    loss(of, &learning, &frozen, &fixture.batch(), noise, EPSILON).unwrap()
}

fn number(tensor: &Tensor) -> f64 {
    f64::try_from(tensor).unwrap()
}

/// Of the loss by both layers.
fn gradients(of: Loss, network: &Small, fixture: &Fixture, noise: &Tensor) -> Vec<Tensor> {
    let learning = network
        .layers()
        .map(|layer| layer.copy().set_requires_grad(true));
    let loss = value(of, &Small::of(&learning), network, fixture, noise).loss;
    Tensor::run_backward(&[loss], &learning, false, false)
}

#[test]
fn gradients_equal_finite_differences() {
    const STEP: f64 = 1e-5;
    let _alone = alone();
    for of in ALL {
        tch::manual_seed(1);
        let (fixture, frozen) = (Fixture::new(), Small::new());
        let noise = fixture.noise(of.draws());
        let gradients = gradients(of, &frozen, &fixture, &noise);
        if let Loss::Macer {
            draws, beta, gamma, ..
        } = of
        {
            let without = Loss::Macer {
                draws,
                beta,
                gamma,
                lambda: 0.0,
            };
            let without = self::gradients(without, &frozen, &fixture, &noise);
            assert!(
                number(&(&without[0] - &gradients[0]).abs().max()) > 1e-3,
                "no hinge is compared"
            );
        }
        for (layer, gradient) in gradients.iter().enumerate() {
            for place in 0..gradient.numel() as i64 {
                let at = |offset: f64| {
                    let layers = frozen.layers().map(Tensor::copy);
                    let _ = layers[layer]
                        .view(-1)
                        .get(place)
                        .f_add_scalar_(offset)
                        .unwrap();
                    number(&value(of, &Small::of(&layers), &frozen, &fixture, &noise).loss)
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
    let _alone = alone();
    tch::manual_seed(2);
    let (fixture, network) = (Fixture::new(), Small::new());
    let noise = fixture.noise(3);
    let frozen = |x: &Tensor| network.scores(x);
    let moved = attack::attack(&frozen, &fixture.batch(), &noise, 3, 10, EPSILON).unwrap();
    let distances = (&moved - &fixture.images)
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
            .scores(&noisy(images, &fixture.sigma, &noise, 3).unwrap())
            .unwrap();
        smoothed(&scores, INPUTS, 3)
            .unwrap()
            .gather(1, &fixture.labels.unsqueeze(1), false)
            .log()
            .view(-1)
    };
    let fallen = of_label(&fixture.images) - of_label(&moved);
    assert!(number(&fallen.min()) > 0.0, "{fallen:?}");
}

#[test]
fn an_attack_finds_its_way_where_the_labels_probability_is_0_in_floating_point() {
    let _alone = alone();
    tch::manual_seed(4);
    let (fixture, mut network) = (Fixture::new(), Small::new());
    network.second *= 1e4;
    let noise = fixture.noise(3);
    let scores = network
        .scores(&noisy(&fixture.images, &fixture.sigma, &noise, 3).unwrap())
        .unwrap();
    let of_label =
        smoothed(&scores, INPUTS, 3)
            .unwrap()
            .gather(1, &fixture.labels.unsqueeze(1), false);
    assert_eq!(number(&of_label.min()), 0.0, "this tests nothing");
    let frozen = |x: &Tensor| network.scores(x);
    let moved = attack::attack(&frozen, &fixture.batch(), &noise, 3, 2, EPSILON).unwrap();
    assert!(moved.isfinite().all().int64_value(&[]) == 1, "{moved:?}");
    assert!(number(&(&moved - &fixture.images).abs().max()) > 0.0);
}

#[test]
fn an_attack_of_no_length_is_training_under_noise() {
    let _alone = alone();
    tch::manual_seed(3);
    let (fixture, network) = (Fixture::new(), Small::new());
    let noise = fixture.noise(1);
    let scores = |x: &Tensor| network.scores(x);
    let of = |kind, epsilon| {
        number(
            &loss(kind, &scores, &scores, &fixture.batch(), &noise, epsilon)
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
