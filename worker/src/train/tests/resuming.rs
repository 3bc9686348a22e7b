use super::*;

#[test]
fn training_that_was_stopped_comes_to_the_same_weights() {
    let _alone = alone();
    tch::set_num_threads(1);
    for (loss, sigma) in LOSSES
        .into_iter()
        .flat_map(|loss| ["", DATA_DEPENDENT].map(|sigma| (loss, sigma)))
    {
        let (whole, pieces) = (Folder::new(loss, sigma, 2), Folder::new(loss, sigma, 2));
        whole.train().unwrap();
        // An epoch has four steps. Stopped before the first, within an epoch, between two, and
        // where sigmas have moved.
        for steps in [0, 3, 1, 2] {
            stopped_after(&pieces, steps);
            assert!(!pieces.path("model.safetensors").exists());
        }
        pieces.train().unwrap();
        let model = |folder: &Folder| fs::read(folder.path("model.safetensors")).unwrap();
        assert!(model(&whole) == model(&pieces), "{loss}, {sigma}");
        let times_aside = |mut line: Line| {
            (line.seconds, line.images_per_second) = (0.0, 0.0);
            line
        };
        let log = |folder: &Folder| {
            folder
                .log()
                .into_iter()
                .map(times_aside)
                .collect::<Vec<_>>()
        };
        assert_eq!(log(&whole), log(&pieces));
    }
}

#[test]
fn a_checkpoint_holds_all_that_training_goes_on_from() {
    let _alone = alone();
    let folder = Folder::new(LOSSES[0], DATA_DEPENDENT, 3);
    stopped_after(&folder, 9);
    let path = folder.path("model.checkpoint.safetensors");
    let Opened {
        spec,
        identity,
        examples,
        ..
    } = folder.opened();
    let mut state = begin(&spec, examples.len(), Device::Cpu).unwrap();
    assert!(checkpoint::take_up(&path, &mut state, &identity).unwrap());
    assert_eq!((state.position.epoch, state.position.step), (2, 1));
    assert_eq!(state.position.best.map(|best| best.epoch), Some(1));
    assert!(state.sigma.iter().any(|&sigma| sigma != 0.25) && !state.best.is_empty());
    let before = fs::read(&path).unwrap();
    checkpoint::save(&path, &state, &identity).unwrap();
    assert!(before == fs::read(&path).unwrap());
}

/// Goes on for so many steps, then is told to stop.
fn stopped_after(folder: &Folder, steps: u64) {
    let (spec, out) = (folder.path("train.toml"), folder.path("model.safetensors"));
    let asked = std::cell::Cell::new(0);
    let stop = || asked.replace(asked.get() + 1) == steps;
    let error = train(&spec, &out, Device::Cpu, &stop).unwrap_err();
    assert_eq!(
        ddrs_common::cli::ExitCode::of(&error).code(),
        130,
        "{error:#}"
    );
}

#[test]
fn a_checkpoint_of_another_specification_or_of_other_data_is_refused() {
    let _alone = alone();
    let folder = Folder::new(LOSSES[0], "", 1);
    stopped_after(&folder, 0);
    let text = fs::read_to_string(folder.path("train.toml")).unwrap();
    folder.edit("seed = 3", "seed = 4");
    let (error, code) = folder.fails();
    assert!(
        error.contains("model.checkpoint.safetensors is of another specification: delete it"),
        "{error}"
    );
    assert_eq!(code, 2);
    fs::write(folder.path("train.toml"), text).unwrap();
    let labels: Vec<Class> = (0..80).map(|_| Class(0)).collect();
    write_tensors(
        &folder.path("images.safetensors"),
        [80, 3, 8, 8],
        &vec![0.5; 80 * 192],
        &labels,
    )
    .unwrap();
    let (error, code) = folder.fails();
    assert!(
        error.contains("model.checkpoint.safetensors is of other data: delete it"),
        "{error}"
    );
    assert_eq!(code, 2);
}

#[test]
fn a_checkpoint_that_is_damaged_is_refused_with_what_to_do() {
    let _alone = alone();
    let folder = Folder::new(LOSSES[0], "", 1);
    stopped_after(&folder, 0);
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
        (flipped(bytes.len() - 1000), "it is not as it was written"),
        // Of the number behind the name: another step of the same epoch.
        (flipped(position + 8), "it is not as it was written"),
    ] {
        fs::write(&checkpoint, damaged).unwrap();
        let (error, code) = folder.fails();
        assert!(
            error.contains("cannot go on from ") && error.contains(": delete it to start over"),
            "{error}"
        );
        assert!(error.contains(says) && code == 2, "{error}");
    }
}

#[test]
fn a_training_that_is_finished_leaves_everything_as_it_is() {
    let _alone = alone();
    let folder = Folder::new(LOSSES[0], "", 1);
    let files = || {
        ["model.safetensors", "model.log.jsonl"].map(|name| fs::read(folder.path(name)).unwrap())
    };
    tch::set_num_threads(1);
    folder.train().unwrap();
    let before = files();
    // Nothing is computed on them, so the file says nothing of them.
    tch::set_num_threads(2);
    folder.train().unwrap();
    assert!(before == files());
}

#[test]
fn a_training_that_goes_on_with_other_threads_says_so_where_that_changes_its_weights() {
    let _alone = alone();
    for (group, found) in [
        (
            "",
            r#"[{"device":"cpu","threads":1},{"device":"cpu","threads":2}]"#,
        ),
        ("\ngroup = 8", r#"[{"device":"cpu","threads":null}]"#),
    ] {
        let folder = Folder::new(LOSSES[0], "", 1);
        folder.edit("batch = 16", &format!("batch = 16{group}"));
        tch::set_num_threads(1);
        stopped_after(&folder, 0);
        tch::set_num_threads(2);
        folder.train().unwrap();
        assert_eq!(folder.provenance()["computed_on"].to_string(), found);
    }
}
