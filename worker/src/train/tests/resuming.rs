use super::*;

#[test]
fn training_that_was_stopped_comes_to_the_same_weights() {
    let _alone = alone();
    tch::set_num_threads(1);
    for sigma in ["", DATA_DEPENDENT] {
        let (whole, pieces) = (Folder::new(LOSSES[0], sigma, 2), Folder::new(LOSSES[0], sigma, 2));
        whole.train().unwrap();
        // Already told to stop, it saves where it stands; each further call that is let go takes some steps.
        let out = pieces.path("model.safetensors");
        let stop = AtomicBool::new(true);
        let error = train(&pieces.path("train.toml"), &out, Device::Cpu, &stop).unwrap_err();
        assert_eq!(crate::exit::code(&error), 130, "{error:#}");
        assert!(checkpoint::path_beside(&out).exists() && !out.exists());
        stop_after_steps(&pieces, 3);
        stop_after_steps(&pieces, 2);
        pieces.train().unwrap();
        assert!(fs::read(whole.path("model.safetensors")).unwrap() == fs::read(out).unwrap(), "{sigma}");
        let times_aside = |mut line: Line| {
            (line.seconds, line.images_per_second) = (0.0, 0.0);
            line
        };
        let log = |folder: &Folder| folder.log().into_iter().map(times_aside).collect::<Vec<_>>();
        assert_eq!(log(&whole), log(&pieces));
    }
}

/// Goes on for so many steps, then is told to stop.
fn stop_after_steps(folder: &Folder, steps: u64) {
    let out = folder.path("model.safetensors");
    let Opened { spec, identity, examples, .. } = folder.opened();
    let lanes = Lanes::new(spec.batch.get() / spec.group.get(), Device::Cpu).unwrap();
    let mut state = begin(&spec, examples.len(), Device::Cpu).unwrap();
    assert!(checkpoint::take_up(&checkpoint::path_beside(&out), &mut state, &identity).unwrap());
    for _ in 0..steps {
        let order = examples.order(spec.seed, state.position.epoch);
        let (step, batch) = (state.position.step, spec.batch.get());
        let places = &order[(step * batch) as usize..((step + 1) * batch) as usize];
        let rate = optimiser::learning_rate(
            &spec.optimiser,
            (state.position.epoch, spec.epochs.get()),
            (step, order.len() as u64 / batch),
        );
        let setting = Setting { spec: &spec, examples: &examples, lanes: &lanes, device: Device::Cpu };
        let value = step::step(&setting, &mut state, places, rate).unwrap();
        state.position.sums.loss += value.loss * batch as f64;
        state.position.sums.correct += value.correct as u64;
        state.position.sums.inputs += batch;
        state.position.step += 1;
        if state.position.step == order.len() as u64 / batch {
            return;
        }
    }
    checkpoint::save(&checkpoint::path_beside(&out), &state, &identity).unwrap();
}

/// Stops before the first step: a checkpoint and no more.
fn stopped_at_once(folder: &Folder) {
    let (spec, out) = (folder.path("train.toml"), folder.path("model.safetensors"));
    let error = train(&spec, &out, Device::Cpu, &AtomicBool::new(true)).unwrap_err();
    assert_eq!(crate::exit::code(&error), 130, "{error:#}");
}

#[test]
fn a_checkpoint_of_another_specification_or_of_other_data_is_refused() {
    let _alone = alone();
    let folder = Folder::new(LOSSES[0], "", 1);
    stopped_at_once(&folder);
    let text = fs::read_to_string(folder.path("train.toml")).unwrap();
    folder.edit("seed = 3", "seed = 4");
    let (error, code) = folder.fails();
    assert!(error.contains("model.checkpoint.safetensors is of another specification: delete it"), "{error}");
    assert_eq!(code, 2);
    fs::write(folder.path("train.toml"), text).unwrap();
    let labels: Vec<Class> = (0..80).map(|_| Class(0)).collect();
    write_tensors(&folder.path("images.safetensors"), [80, 3, 8, 8], &vec![0.5; 80 * 192], &labels).unwrap();
    let (error, code) = folder.fails();
    assert!(error.contains("model.checkpoint.safetensors is of other data: delete it"), "{error}");
    assert_eq!(code, 2);
}

#[test]
fn a_checkpoint_that_is_damaged_is_refused_with_what_to_do() {
    let _alone = alone();
    let folder = Folder::new(LOSSES[0], "", 1);
    stopped_at_once(&folder);
    let checkpoint = folder.path("model.checkpoint.safetensors");
    let bytes = fs::read(&checkpoint).unwrap();
    fs::write(&checkpoint, &bytes[..bytes.len() / 2]).unwrap();
    let (error, code) = folder.fails();
    assert!(error.contains("cannot go on from ") && error.contains(": delete it to start over"), "{error}");
    assert_eq!(code, 2);
}

#[test]
fn a_training_that_is_finished_leaves_everything_as_it_is() {
    let _alone = alone();
    let folder = Folder::new(LOSSES[0], "", 1);
    let files = || ["model.safetensors", "model.log.jsonl"].map(|name| fs::read(folder.path(name)).unwrap());
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
        ("", r#"[{"device":"cpu","threads":1},{"device":"cpu","threads":2}]"#),
        ("\ngroup = 8", r#"[{"device":"cpu","threads":null}]"#),
    ] {
        let folder = Folder::new(LOSSES[0], "", 1);
        folder.edit("batch = 16", &format!("batch = 16{group}"));
        tch::set_num_threads(1);
        stopped_at_once(&folder);
        tch::set_num_threads(2);
        folder.train().unwrap();
        assert_eq!(folder.provenance()["computed_on"].to_string(), found);
    }
}
