use super::*;

/// The entries of the log, without the times.
fn log_without_times(folder: &TrainingFolder) -> Vec<EpochEntry> {
    let mut log = folder.log();
    for entry in &mut log {
        entry.seconds = 0.0;
        entry.images_per_second = 0.0;
    }
    log
}

fn every_training() -> impl Iterator<Item = (&'static str, &'static str)> {
    LOSSES
        .into_iter()
        .flat_map(|loss| ["", DATA_DEPENDENT].map(|sigma| (loss, sigma)))
}

#[test]
fn training_that_was_stopped_gives_the_same_weights() {
    let _generator = use_generator();
    tch::set_num_threads(1);
    for (loss, sigma) in every_training() {
        let whole = TrainingFolder::new(loss, sigma, 2);
        whole.train().unwrap();
        let stopped = TrainingFolder::new(loss, sigma, 2);
        // An epoch has four steps. This stops before the first, within an epoch, between two
        // epochs, and after sigmas have moved.
        for steps in [0, 3, 1, 2] {
            stop_after(&stopped, steps);
            assert!(!stopped.path("model.safetensors").exists());
        }
        stopped.train().unwrap();
        assert!(whole.model() == stopped.model(), "{loss}, {sigma}");
        assert_eq!(log_without_times(&whole), log_without_times(&stopped));
    }
}

#[test]
fn a_checkpoint_holds_all_that_training_resumes_from() {
    let _generator = use_generator();
    let folder = TrainingFolder::new(LOSSES[0], DATA_DEPENDENT, 3);
    stop_after(&folder, 9);
    let path = folder.path("model.checkpoint.safetensors");
    let (mut state, identity) = folder.initial_state();
    assert!(checkpoint::resume(&path, &mut state, &identity).unwrap());
    assert_eq!((state.position.epoch, state.position.step), (2, 1));
    assert_eq!(state.position.best.map(|best| best.epoch), Some(1));
    assert!(state.sigma.iter().any(|&sigma| sigma != 0.25) && !state.best.is_empty());
    let before = fs::read(&path).unwrap();
    checkpoint::save(&path, &state, &identity).unwrap();
    assert!(before == fs::read(&path).unwrap());
}

/// Trains for this number of steps, then stops.
fn stop_after(folder: &TrainingFolder, steps: u64) {
    let done = std::cell::Cell::new(0);
    let stop = || done.replace(done.get() + 1) == steps;
    let error = folder.train_until(&stop).unwrap_err();
    assert_eq!(ExitCode::of(&error), ExitCode::Interrupted, "{error:#}");
}

#[test]
fn a_checkpoint_of_another_specification_or_of_other_data_is_refused() {
    let _generator = use_generator();
    let folder = TrainingFolder::new(LOSSES[0], "", 1);
    stop_after(&folder, 0);
    let text = fs::read_to_string(folder.path("train.toml")).unwrap();
    folder.edit("seed = 3", "seed = 4");
    let (error, code) = folder.fail();
    assert!(
        error.contains("model.checkpoint.safetensors is of another specification: delete it"),
        "{error}"
    );
    assert_eq!(code, 2);
    fs::write(folder.path("train.toml"), text).unwrap();
    folder.write_images(&vec![0.5; IMAGES * IMAGE_SIZE], &[Class(0); IMAGES]);
    let (error, code) = folder.fail();
    assert!(
        error.contains("model.checkpoint.safetensors is of other data: delete it"),
        "{error}"
    );
    assert_eq!(code, 2);
}

#[test]
fn a_checkpoint_that_is_damaged_is_refused_with_what_to_do() {
    let _generator = use_generator();
    let folder = TrainingFolder::new(LOSSES[0], "", 1);
    stop_after(&folder, 0);
    let checkpoint = folder.path("model.checkpoint.safetensors");
    let bytes = fs::read(&checkpoint).unwrap();
    let cut = bytes[..bytes.len() / 2].to_vec();
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        bytes
    };
    let position = bytes
        .windows(7)
        .position(|window| window == b"\"step\\\"")
        .unwrap();
    for (damaged, says) in [
        (cut, "cannot read "),
        (
            flipped(bytes.len() - 1000),
            "checksum mismatch: the file is damaged or was edited",
        ),
        // In the number after the key: another step of the same epoch.
        (
            flipped(position + 8),
            "checksum mismatch: the file is damaged or was edited",
        ),
    ] {
        fs::write(&checkpoint, damaged).unwrap();
        let (error, code) = folder.fail();
        assert!(
            error.contains("cannot resume from ") && error.contains(": delete it to start over"),
            "{error}"
        );
        assert!(error.contains(says) && code == 2, "{error}");
    }
}

#[test]
fn a_training_that_is_finished_leaves_everything_as_it_is() {
    let _generator = use_generator();
    let folder = TrainingFolder::new(LOSSES[0], "", 1);
    let files = || {
        ["model.safetensors", "model.log.jsonl"].map(|name| fs::read(folder.path(name)).unwrap())
    };
    tch::set_num_threads(1);
    folder.train().unwrap();
    let before = files();
    // Nothing is computed with these threads, so the file does not mention them.
    tch::set_num_threads(2);
    folder.train().unwrap();
    assert!(before == files());
}

#[test]
fn a_training_that_resumes_with_other_threads_says_so_where_that_changes_its_weights() {
    let _generator = use_generator();
    for (group, found) in [
        (
            "",
            r#"[{"device":"cpu","threads":1},{"device":"cpu","threads":2}]"#,
        ),
        ("\ngroup = 8", r#"[{"device":"cpu","threads":null}]"#),
    ] {
        let folder = TrainingFolder::new(LOSSES[0], "", 1);
        folder.edit("batch = 16", &format!("batch = 16{group}"));
        tch::set_num_threads(1);
        stop_after(&folder, 0);
        tch::set_num_threads(2);
        folder.train().unwrap();
        assert_eq!(folder.provenance()["computed_on"].to_string(), found);
    }
}
