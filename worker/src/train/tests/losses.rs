use ddrs_common::spec::TrainingChoice;

use super::network::Mode;
use super::*;

#[test]
fn every_loss_falls_on_a_small_set() {
    let _generator = use_generator();
    for loss in LOSSES {
        let folder = TrainingFolder::new(loss, "", 4);
        folder.train().unwrap();
        let log = folder.log();
        assert!(
            log[3].loss < 0.7 * log[0].loss,
            "{loss}: {} after {}",
            log[3].loss,
            log[0].loss
        );
        assert!(log[3].accuracy > 0.8, "{loss}: {}", log[3].accuracy);
        let sigma = SigmaDistribution::of([0.25].into_iter());
        assert!(
            log.iter().all(|line| line.sigma == sigma),
            "a fixed sigma stays"
        );
    }
}

#[test]
fn a_data_dependent_sigma_moves_from_its_epoch_on_and_stays_in_range() {
    let _generator = use_generator();
    for loss in LOSSES {
        let folder = TrainingFolder::new(loss, DATA_DEPENDENT, 3);
        folder.train().unwrap();
        let sigmas: Vec<SigmaDistribution> = folder.log().iter().map(|line| line.sigma).collect();
        assert_eq!(
            (sigmas[0].least, sigmas[0].largest),
            (0.25, 0.25),
            "{loss}: before its epoch"
        );
        assert!(
            sigmas[1].least < sigmas[1].largest,
            "{loss}: {:?}",
            sigmas[1]
        );
        assert_ne!(
            sigmas[1], sigmas[2],
            "{loss}: each epoch starts at the sigmas of the one before"
        );
        assert!(
            sigmas.iter().all(|s| s.least >= 0.05 && s.largest <= 0.4),
            "{loss}: {sigmas:?}"
        );
    }
}

#[test]
fn the_choice_of_sigma_leaves_the_network_as_it_was() {
    let _generator = use_generator();
    let folder = TrainingFolder::new(LOSSES[0], DATA_DEPENDENT, 2);
    let (state, _) = folder.initial_state();
    let before = copied_tensors(&state);
    let TrainingChoice::DataDependent { ascent, .. } = folder.preflight().spec.sigma.choice else {
        unreachable!()
    };
    let images = Tensor::rand([4, 3, 8, 8], (Kind::Float, Device::Cpu));
    let noise = |_| Tensor::f_randn([8, 3, 8, 8], (Kind::Float, Device::Cpu));
    let scores = |batch: &Tensor| state.network.scores(batch, Mode::Frozen);
    let moved = crate::sigma::ascend(&images, &[0.25; 4], &ascent, &scores, noise).unwrap();
    assert!(moved.iter().any(|sigma| sigma.unwrap() != 0.25));
    for ((name, after), (_, before)) in state.network.tensors().zip(before) {
        assert!(after.equal(&before), "{name} moved");
        assert!(!after.grad().defined(), "{name} has a gradient");
    }
}
