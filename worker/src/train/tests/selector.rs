//! Training a selector from the records of a run.

use ddrs_common::data::Dataset;
use ddrs_common::domain::{
    Alpha, Certification, Outcome, Probability, Radius, Record, SampleIndex, Sigma, VariantName,
};
use ddrs_common::record_file::to_line;
use ddrs_common::spec::digest_to_hex;

use super::*;

const SELECTOR: &str = "kind = \"selector\"\n\
                        levels = [{ run = \"run\", variant = \"a/fixed/0.25\" }, \
                        { run = \"run\", variant = \"b/fixed/0.5\" }]";

/// A folder whose run certifies dark images, of class 0, only at the first level, and bright ones
/// only at the second.
fn folder(epochs: u64) -> TrainingFolder {
    let folder = TrainingFolder::new(SELECTOR, "", epochs);
    folder.write_run(|_| true);
    folder
}

impl TrainingFolder {
    /// Writes a run with the records of the samples that `has` accepts.
    fn write_run(&self, has: impl Fn(u64) -> bool) {
        let spec = Training::parse(
            &fs::read_to_string(self.path("train.toml")).unwrap(),
            &self.path("train.toml"),
        );
        let data = Dataset::open(&spec.unwrap().dataset).unwrap();
        let digest = digest_to_hex(&data.digest().unwrap());
        let mut lines = String::new();
        for (variant, class) in [("a/fixed/0.25", 0), ("b/fixed/0.5", 1)] {
            for index in (0..IMAGES as u64).filter(|&index| has(index)) {
                let label = (index % 2) as u32;
                let radius = if label == class { 0.5 } else { 0.0 };
                lines += &(to_line(&record(variant, index, label, radius)) + "\n");
            }
        }
        fs::create_dir_all(self.path("run")).unwrap();
        fs::write(self.path("run/records.jsonl"), lines).unwrap();
        let manifest = format!("{{\"sweep\": {{\"data_digest\": \"{digest}\"}}}}");
        fs::write(self.path("run/manifest.json"), manifest).unwrap();
    }
}

fn record(variant: &str, index: u64, label: u32, radius: f64) -> Record {
    let sigma = Sigma::new(0.25).unwrap();
    Record {
        variant: VariantName::new(variant),
        index: SampleIndex(index),
        label: Class(label),
        result: Ok(Certification {
            outcome: Outcome::Certified {
                class: Class(label),
                radius: Radius::new(radius).unwrap(),
            },
            statement: None,
            sigma,
            sigma0: sigma,
            n0: 10,
            n: 100,
            count: 99,
            p_lower: Probability::new(0.9).unwrap(),
            off_grid: Radius::ZERO,
            alpha: Alpha::new(0.1).unwrap(),
            runner_up: None,
            p_upper: None,
            n0_counts: None,
            level: None,
        }),
        seed: 1,
        seconds: 0.1,
        worker: "w".to_owned(),
        attempt: 1,
        device: "cpu".to_owned(),
    }
}

#[test]
fn a_selector_learns_the_level_that_certifies_further() {
    let _generator = use_generator();
    let folder = folder(4);
    folder.train().unwrap();
    let last = folder.log().pop().unwrap();
    // The radius of the given level, as a share of that of the better one.
    assert!(last.validation_accuracy > 0.9, "{last:?}");
    assert_eq!(folder.provenance()["loss"], "selector");
}

#[test]
fn an_interrupted_selector_ends_with_the_same_weights() {
    let _generator = use_generator();
    let whole = folder(2);
    whole.train().unwrap();
    let parts = folder(2);
    let steps = std::cell::Cell::new(0);
    let stop = || steps.replace(steps.get() + 1) == 5;
    assert_eq!(
        ExitCode::of(&parts.train_until(&stop).unwrap_err()),
        ExitCode::Interrupted
    );
    parts.train().unwrap();
    assert!(whole.model() == parts.model());
}

#[test]
fn records_that_lack_a_level_or_an_image_are_refused_with_the_key() {
    let _generator = use_generator();
    let folder = folder(1);
    folder.edit("\"b/fixed/0.5\"", "\"c/fixed/0.5\"");
    let (error, code) = folder.fail();
    assert!(
        error.contains("loss.levels: ") && error.contains("no record of variant c/fixed/0.5"),
        "{error}"
    );
    assert_eq!(code, 2);
    folder.edit("\"c/fixed/0.5\"", "\"b/fixed/0.5\"");
    folder.write_run(|index| index != 17);
    let (error, _) = folder.fail();
    assert!(
        error.contains("loss.levels: ") && error.contains("no record of sample 17"),
        "{error}"
    );
    fs::write(
        folder.path("run/manifest.json"),
        "{\"sweep\": {\"data_digest\": \"00\"}}",
    )
    .unwrap();
    let (error, _) = folder.fail();
    assert!(error.contains("certified other data"), "{error}");
    fs::remove_file(folder.path("run/manifest.json")).unwrap();
    let (error, _) = folder.fail();
    assert!(error.contains("cannot read"), "{error}");
}

#[test]
fn other_records_do_not_continue_a_training() {
    let _generator = use_generator();
    let folder = folder(1);
    folder.train().unwrap();
    let text = fs::read_to_string(folder.path("run/records.jsonl")).unwrap();
    let changed = text.replacen("\"radius\":0.5", "\"radius\":0.25", 1);
    fs::write(folder.path("run/records.jsonl"), changed).unwrap();
    let (error, code) = folder.fail();
    assert!(error.contains("checkpoint"), "{error}");
    assert_eq!(code, 2);
}

#[test]
fn training_may_start_from_a_network_of_other_classes() {
    let _generator = use_generator();
    let first = TrainingFolder::new(LOSSES[0], "", 1);
    first.train().unwrap();
    let second = TrainingFolder::new(LOSSES[0], "", 1);
    let initial = first.path("model.safetensors");
    let line = format!("classes = 3\ninitial = {:?}", initial.display().to_string());
    second.edit("classes = 2", &line);
    let (state, _) = second.initial_state();
    let known = Tensor::read_safetensors(&initial).unwrap();
    for (name, tensor) in copied_tensors(&state) {
        let other = known.iter().find(|(known, _)| *known == name);
        let is_last = name.starts_with("fc.");
        assert_eq!(other.unwrap().1.size() == tensor.size(), !is_last, "{name}");
        assert!(is_last || other.unwrap().1 == tensor, "{name}");
    }
    second.edit("cifar-resnet20", "cifar-resnet32");
    let error = second.preflight();
    let failed = initial_state(&error.spec, 80, Device::Cpu).unwrap_err();
    assert!(
        format!("{failed:#}").contains("is of another architecture"),
        "{failed:#}"
    );
}
