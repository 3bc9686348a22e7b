use super::*;

/// A training with one step per epoch.
fn with_one_step(epochs: u64, rate: &str) -> TrainingFolder {
    let folder = TrainingFolder::new(LOSSES[0], "", epochs);
    folder.edit("batch = 16", "batch = 64");
    folder.edit("learning-rate = 0.02", rate);
    folder
}

#[test]
fn divergence_is_reported_with_its_epoch_and_step() {
    let _generator = use_generator();
    let folder = TrainingFolder::new(LOSSES[0], "", 2);
    folder.edit("learning-rate = 0.02", "learning-rate = 1e30");
    let (error, code) = folder.fail();
    assert!(
        error.contains("at epoch 0, step ") && error.contains("a smaller optimiser.learning-rate"),
        "{error}"
    );
    assert_eq!(code, 1);
    assert!(!folder.path("model.safetensors").exists());
}

#[test]
fn a_loss_that_is_not_finite_before_anything_was_learned_is_not_blamed_on_the_learning_rate() {
    let _generator = use_generator();
    let folder = TrainingFolder::new(LOSSES[0], "", 1);
    folder.edit("initial = 0.25", "initial = 1e300");
    let (error, code) = folder.fail();
    assert!(
        error.contains("at epoch 0, step 0, before any weight was changed: sigma or "),
        "{error}"
    );
    assert!(code == 1 && !error.contains("learning-rate"), "{error}");
}

#[test]
fn divergence_in_the_last_step_of_an_epoch_is_seen_before_anything_is_written() {
    let _generator = use_generator();
    for (rate, what) in [
        ("1e39", " is not finite"),
        ("1e30", "scores of validation samples are not finite"),
    ] {
        let folder = with_one_step(1, &format!("learning-rate = {rate}"));
        let (error, _) = folder.fail();
        assert!(
            error.contains(&format!("{what} at epoch 0, step 0: a smaller")),
            "{error}"
        );
        for name in [
            "model.safetensors",
            "model.checkpoint.safetensors",
            "model.log.jsonl",
        ] {
            assert!(!folder.path(name).exists(), "{rate}: {name}");
        }
    }
}

#[test]
fn the_advice_on_divergence_helps() {
    let _generator = use_generator();
    // The rate rises from 0, so the first epoch changes no weight.
    let folder = with_one_step(2, "learning-rate = 1e39\nrise = 0.5");
    folder.edit("schedule = \"cosine\"", "schedule = \"one-cycle\"");
    let (error, _) = folder.fail();
    assert!(
        error.contains("at epoch 1, step 0") && error.contains(": delete it to start over"),
        "{error}"
    );
    let checkpoint = folder.path("model.checkpoint.safetensors");
    let before = fs::read(&checkpoint).unwrap();
    folder.edit("1e39", "0.1");
    let (error, code) = folder.fail();
    assert!(
        error.contains("is of another specification: delete it to start over"),
        "{error}"
    );
    assert!(code == 2 && fs::read(&checkpoint).unwrap() == before);
    fs::remove_file(checkpoint).unwrap();
    folder.train().unwrap();
}
