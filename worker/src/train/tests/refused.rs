use super::*;

#[test]
fn a_file_that_cannot_be_written_is_refused_before_anything_is_computed() {
    let _generator = use_generator();
    let folder = TrainingFolder::new(LOSSES[0], "", 1);
    fs::create_dir(folder.path("folder.safetensors")).unwrap();
    for (out, says) in [
        ("nowhere/model.safetensors", "there is no folder"),
        ("model.pt", "must end in .safetensors"),
        (
            "other.checkpoint.safetensors",
            "other.checkpoint.safetensors is the name of a checkpoint",
        ),
        ("folder.safetensors", "folder.safetensors is a folder"),
    ] {
        let out = folder.path(out);
        let error = train(&folder.path("train.toml"), &out, Device::Cpu, &|| false).unwrap_err();
        assert_eq!(ExitCode::of(&error), ExitCode::BadInput);
        assert!(format!("{error:#}").contains(says), "{error:#}");
    }
    fs::write(folder.path("model.log.jsonl"), "epoch 0: fine\n").unwrap();
    let (error, code) = folder.fail();
    assert!(
        error.contains("not a training log; delete it") && error.contains("model.log.jsonl:1"),
        "{error}"
    );
    assert_eq!(
        (code, folder.path("model.checkpoint.safetensors").exists()),
        (2, false)
    );
}

#[test]
fn a_finished_model_whose_checkpoint_is_gone_is_not_written_over() {
    let _generator = use_generator();
    let folder = TrainingFolder::new(LOSSES[0], "", 1);
    folder.train().unwrap();
    let model = folder.model();
    fs::remove_file(folder.path("model.checkpoint.safetensors")).unwrap();
    let (error, code) = folder.fail();
    assert!(error.contains("model.safetensors exists, but "), "{error}");
    assert_eq!(code, 2);
    assert!(folder.model() == model);
    fs::remove_file(folder.path("model.safetensors")).unwrap();
    fs::remove_file(folder.path("model.log.jsonl")).unwrap();
    folder.train().unwrap();
    assert!(folder.model() == model);
}

#[test]
fn a_second_training_to_the_same_file_is_refused() {
    let _generator = use_generator();
    let folder = TrainingFolder::new(LOSSES[0], "", 1);
    let first = folder.preflight();
    let (error, code) = folder.fail();
    assert!(
        error.contains("another process trains to ") && error.contains("model.lock"),
        "{error}"
    );
    assert_eq!(code, 2);
    drop(first);
    folder.train().unwrap();
}

#[test]
fn a_key_that_does_not_fit_the_data_is_reported_with_its_line() {
    let _generator = use_generator();
    for (old, new, says) in [
        (
            "images.safetensors",
            "none.safetensors",
            "train.toml:5: dataset.path: cannot read ",
        ),
        (
            "samples = 16",
            "samples = 80",
            "train.toml:7: validation.samples: 80 of 80 samples leave none",
        ),
        (
            "batch = 16",
            "batch = 65",
            "train.toml:20: train.batch: 65 are more than the 64 samples",
        ),
        (
            "classes = 2",
            "classes = 2\nmean = [0.5]\nstd = [0.25]",
            "train.toml:11: model.mean: 1 values for images of 3",
        ),
        (
            "crop-padding = 1",
            "crop-padding = 8",
            "augmentation.crop-padding: 8 zeros around 8 x 8 pixels",
        ),
    ] {
        let folder = TrainingFolder::new(LOSSES[0], "", 1);
        if new.contains("mean") {
            folder.edit("mean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n", "");
        }
        folder.edit(old, new);
        let (error, code) = folder.fail();
        assert!(error.contains(says), "{error}, not {says}");
        assert_eq!(code, 2);
    }
}

/// 40 rows of a label and 3 x 32 x 32 bytes.
fn cifar10_rows() -> Vec<u8> {
    (0..40_u8)
        .flat_map(|row| [vec![row % 2], vec![row; 3072]].concat())
        .collect()
}

#[test]
fn the_test_images_of_cifar10_are_not_trained_on() {
    let _generator = use_generator();
    let folder = TrainingFolder::new(LOSSES[0], "", 1);
    folder.edit(
        "format = \"tensors\"\npath = \"images.safetensors\"",
        "format = \"cifar10\"\npath = \"published\"",
    );
    fs::create_dir(folder.path("published")).unwrap();
    for name in ["data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"] {
        fs::write(folder.path("published").join(name), cifar10_rows()).unwrap();
    }
    let (error, code) = folder.fail();
    assert!(
        error.contains("published: holds training and test images: set dataset.split"),
        "{error}"
    );
    assert_eq!(code, 2);
    folder.edit(
        "path = \"published\"",
        "path = \"published\"\nsplit = \"all\"",
    );
    let (error, code) = folder.fail();
    assert!(
        error.contains("train.toml:5: dataset.path: from sample 80 on ")
            && error.contains("published/test_batch.bin has test images: set dataset.split"),
        "{error}"
    );
    assert_eq!(code, 2);
    folder.edit("split = \"all\"", "split = \"train\"");
    folder.train().unwrap();
}

#[test]
fn a_class_that_the_network_does_not_tell_apart_is_refused() {
    let _generator = use_generator();
    let folder = TrainingFolder::new(LOSSES[0], "", 1);
    let labels: Vec<Class> = (0..IMAGES as u32).map(|i| Class(i % 3)).collect();
    folder.write_images(&vec![0.5; IMAGES * IMAGE_SIZE], &labels);
    let (error, _) = folder.fail();
    assert!(
        error.contains("model.classes: 2, but sample 2 has label 2"),
        "{error}"
    );
}

#[test]
fn a_group_that_leaves_batch_normalisation_a_single_value_is_refused() {
    let _generator = use_generator();
    for (group, key) in [
        ("batch = 1", "train.batch"),
        ("batch = 2\ngroup = 1", "train.group"),
    ] {
        let folder = TrainingFolder::new(LOSSES[0], "", 1);
        folder.edit("cifar-resnet20", "resnet18");
        folder.edit("batch = 16", group);
        let (error, code) = folder.fail();
        assert!(
            error.contains(&format!(
                "{key}: batch normalisation of resnet18 would take"
            )),
            "{error}"
        );
        assert_eq!(code, 2);
    }
    // Two strides leave two of eight pixels per side.
    let folder = TrainingFolder::new(LOSSES[0], "", 1);
    folder.edit("batch = 16", "batch = 1");
    folder.train().unwrap();
}
