use std::num::NonZeroU64;

use ddrs_common::spec::Loss;

use super::*;
use crate::train::best_epoch::first_eligible_epoch;

/// The epoch that is kept when validation measures these accuracies.
fn kept(sigma: &str, accuracies: &[f64]) -> Option<u64> {
    let folder = TrainingFolder::new(LOSSES[0], sigma, accuracies.len() as u64);
    let (state, identity) = folder.initial_state();
    let Preflight { spec, examples, .. } = folder.preflight();
    let threads = GroupThreads::new(1, Device::Cpu).unwrap();
    let output = Output::new(&folder.path("model.safetensors"), identity);
    let mut trainer = Trainer::new(&spec, examples, threads, state, Device::Cpu, output);
    for (epoch, &accuracy) in (0..).zip(accuracies) {
        trainer.state.position.epoch = epoch;
        let sigma = SigmaDistribution::of([0.25].into_iter());
        trainer.keep_if_best(accuracy, sigma).unwrap();
    }
    trainer.state.position.best.map(|best| best.epoch)
}

#[test]
fn the_most_accurate_epoch_is_kept_and_the_later_of_equals() {
    let _generator = use_generator();
    assert_eq!(kept("", &[0.5, 0.9, 0.8]), Some(1));
    assert_eq!(kept("", &[0.9, 0.5, 0.9]), Some(2));
}

#[test]
fn an_epoch_in_which_no_sigma_moved_is_not_kept_however_accurate() {
    let _generator = use_generator();
    assert_eq!(kept(DATA_DEPENDENT, &[1.0, 0.5, 0.6, 0.4]), Some(2));
    assert_eq!(
        kept(
            &DATA_DEPENDENT.replace("from-epoch = 1", "from-epoch = 2"),
            &[1.0, 0.9, 0.5]
        ),
        Some(2)
    );
}

fn smoothadv(warm_up: u64) -> Loss {
    Loss::SmoothAdv {
        draws: 1,
        steps: 1,
        epsilon: 0.5,
        warm_up,
    }
}

#[test]
fn an_epoch_of_shorter_attacks_is_kept_only_where_no_other_comes() {
    let _generator = use_generator();
    let mut spec = TrainingFolder::new(LOSSES[1], "", 3).preflight().spec;
    let mut first = |warm_up| {
        spec.loss = smoothadv(warm_up);
        first_eligible_epoch(&spec)
    };
    assert_eq!([0, 1, 2, 3, 4, 10].map(&mut first), [0, 0, 1, 2, 0, 0]);
    let longer = LOSSES[1].replace("warm-up = 2", "warm-up = 3");
    let mut both = TrainingFolder::new(&longer, DATA_DEPENDENT, 3)
        .preflight()
        .spec;
    assert_eq!(first_eligible_epoch(&both), 2, "the later of the two");
    both.epochs = NonZeroU64::new(2).unwrap();
    assert_eq!(
        first_eligible_epoch(&both),
        1,
        "sigma has to move in any case"
    );
}

#[test]
fn a_data_dependent_model_is_of_an_epoch_in_which_sigma_moved_and_says_how_far() {
    let _generator = use_generator();
    let folder = TrainingFolder::new(
        LOSSES[0],
        &DATA_DEPENDENT.replace("from-epoch = 1", "from-epoch = 2"),
        3,
    );
    folder.train().unwrap();
    let log = folder.log();
    let provenance = folder.provenance();
    assert_eq!(
        (&provenance["epoch"], &provenance["from_epoch"]),
        (&2.into(), &2.into())
    );
    assert_eq!(
        provenance["sigmas"],
        serde_json::to_value(log[2].sigma).unwrap()
    );
    assert!(log[2].sigma.least < log[2].sigma.largest);
    assert_eq!(
        provenance["validation_accuracy"],
        log[2].validation_accuracy
    );
}
