use tch::Tensor;

use super::*;

#[test]
fn groups_come_to_the_same_weights_on_any_number_of_cores() {
    let _alone = alone();
    for sigma in ["", DATA_DEPENDENT] {
        let weights = [1, 2].map(|threads| {
            let folder = Folder::new(LOSSES[0], sigma, 2);
            folder.edit("batch = 16", "batch = 16\ngroup = 8");
            tch::set_num_threads(threads);
            folder.train().unwrap();
            fs::read(folder.path("model.safetensors")).unwrap()
        });
        assert!(weights[0] == weights[1], "{sigma}");
    }
}

#[test]
fn every_loss_falls_in_groups_too() {
    let _alone = alone();
    for loss in LOSSES {
        let folder = Folder::new(loss, "", 4);
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

/// One step of a new network on the same inputs, in so many groups: its tensors after it, and the
/// loss.
fn after_a_step(groups: u64) -> (Vec<Tensor>, f64) {
    let folder = Folder::new(LOSSES[0], "", 1);
    folder.edit(
        "batch = 16",
        &format!("batch = 16\ngroup = {}", 16 / groups),
    );
    // So little noise and no augmentation, that an input is the same in each group.
    folder.edit("initial = 0.25", "initial = 1e-6");
    folder.edit("crop-padding = 1", "crop-padding = 0\nflip = false");
    // Each input twice, half a batch apart: the halves have the same statistics, and their means
    // are the whole's.
    let (state, _, value) = folder.step(groups, (0..8).cycle().take(16));
    (
        state
            .network
            .tensors()
            .map(|(_, tensor)| tensor.detach().copy())
            .collect(),
        value.loss,
    )
}

#[test]
fn a_batch_in_groups_is_a_step_along_the_mean_of_their_gradients() {
    let _alone = alone();
    let (whole, groups) = (after_a_step(1), after_a_step(2));
    assert!(
        (whole.1 - groups.1).abs() < 1e-3 * whole.1,
        "{} and {}",
        whole.1,
        groups.1
    );
    for (whole, groups) in whole.0.iter().zip(&groups.0) {
        // A variance over fewer values is corrected a little more.
        let apart =
            (whole - groups).norm().double_value(&[]) / whole.norm().double_value(&[]).max(0.1);
        assert!(apart < 0.01, "{apart}");
    }
}
