use super::*;

#[test]
fn the_file_says_what_it_is_and_where_it_comes_from() {
    let _generator = use_generator();
    let folder = TrainingFolder::new(LOSSES[0], "", 1);
    folder.train().unwrap();
    let (_, metadata) = weights_file::read(&folder.path("model.safetensors")).unwrap();
    assert_eq!(metadata["architecture"], "cifar-resnet20");
    assert_eq!(
        (metadata["mean"].as_str(), metadata["classes"].as_str()),
        ("[0.5,0.5,0.5]", "2")
    );
    assert_eq!(
        metadata["specification"],
        fs::read_to_string(folder.path("train.toml")).unwrap()
    );
    let training = folder.provenance();
    assert_eq!(
        training["specification"],
        folder.preflight().identity.specification
    );
    assert_eq!(
        (&training["precision"], &training["from_epoch"]),
        (&"fp32".into(), &serde_json::Value::Null)
    );
    assert_eq!(training["computed_on"][0]["device"], "cpu");
    assert_eq!(
        (&training["epochs"], &training["loss"]),
        (&1.into(), &"gaussian".into())
    );
    assert_eq!(
        training["validation_accuracy"],
        folder.log()[0].validation_accuracy
    );
    let architecture = "cifar-resnet20".parse().unwrap();
    ddrs_common::architecture::check_model(&folder.path("model.safetensors"), architecture, 2)
        .unwrap();
}
