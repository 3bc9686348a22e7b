use super::*;

#[test]
fn groups_give_the_same_weights_on_any_number_of_cores() {
    let _generator = use_generator();
    for sigma in ["", DATA_DEPENDENT] {
        let weights = [1, 2].map(|threads| {
            let folder = TrainingFolder::new(LOSSES[0], sigma, 2);
            folder.edit("batch = 16", "batch = 16\ngroup = 8");
            tch::set_num_threads(threads);
            folder.train().unwrap();
            folder.model()
        });
        assert!(weights[0] == weights[1], "{sigma}");
    }
}

#[test]
fn every_loss_falls_in_groups_too() {
    let _generator = use_generator();
    for loss in LOSSES {
        let folder = TrainingFolder::new(loss, "", 4);
        folder.edit("batch = 16", "batch = 16\ngroup = 8");
        folder.train().unwrap();
        let log = folder.log();
        assert!(
            log[3].loss < 0.7 * log[0].loss,
            "{loss}: {} after {}",
            log[3].loss,
            log[0].loss
        );
    }
}

/// The tensors of a new network after one step on the same inputs in this number of groups, and the
/// loss.
fn after_a_step(groups: u64) -> (Vec<(String, Tensor)>, f64) {
    let folder = TrainingFolder::new(LOSSES[0], "", 1);
    let group = format!("batch = 16\ngroup = {}", 16 / groups);
    folder.edit("batch = 16", &group);
    // With little noise and no augmentation an input is the same in each group.
    folder.edit("initial = 0.25", "initial = 1e-6");
    folder.edit("crop-padding = 1", "crop-padding = 0\nflip = false");
    // Each input occurs in both halves of the batch. The halves therefore have the same statistics,
    // and the mean of their means is the mean of the batch.
    let (state, _, result) = folder.step(groups, (0..8).cycle().take(16));
    (copied_tensors(&state), result.loss)
}

#[test]
fn a_batch_in_groups_is_a_step_along_the_mean_of_their_gradients() {
    let _generator = use_generator();
    let (whole, whole_loss) = after_a_step(1);
    let (grouped, grouped_loss) = after_a_step(2);
    assert!(
        (whole_loss - grouped_loss).abs() < 1e-3 * whole_loss,
        "{whole_loss} and {grouped_loss}"
    );
    for ((name, whole), (_, grouped)) in whole.iter().zip(&grouped) {
        // The unbiased variance over fewer values is a little larger.
        let difference = (whole - grouped).norm().double_value(&[]);
        let relative = difference / whole.norm().double_value(&[]).max(0.1);
        assert!(relative < 0.01, "{name}: {relative}");
    }
}
