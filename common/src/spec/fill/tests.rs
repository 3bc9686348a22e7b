#![allow(clippy::unwrap_used)]
use std::fs;

use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

use super::*;
use crate::architecture::Shape;
use crate::model_file::{NewTensor, write_safetensors};
use crate::spec::ModelSource;

const TRAINED: [(&str, &str); 4] = [
    ("architecture", "cifar-resnet20"),
    ("classes", "10"),
    ("mean", "[0.5,0.4,0.25]"),
    ("std", "[0.25,0.2,1.0]"),
];

/// A folder with a model that has given metadata, for specifications of it.
struct Folder(TempDir);

impl Folder {
    fn new(metadata: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let view = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
        let metadata = metadata
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let path = folder.0.path().join("m.safetensors");
        safetensors::serialize_to_file([("x", view)], Some(metadata), &path).unwrap();
        folder
    }

    fn parse(&self, own: &str) -> Result<(Sweep, String), String> {
        let text = format!(
            "name = 's'\nseed = 1\n[dataset]\nformat = 'cifar10'\npath = 'd'\n\
             [[model]]\nname = 'm'\npath = 'm.safetensors'\n{own}\
             [smoothing]\nsigma = [0.5]\n[certify]\nn0 = 10\nn = 100\nalpha = 0.01\n"
        );
        let dir = self.0.path().display().to_string();
        parse_with_models(&text, &self.0.path().join("s.toml"), 77)
            .map_err(|e| e.to_string().replace(&dir, "DIR"))
    }
}

#[test]
fn a_trained_model_needs_no_more_than_its_path() {
    let folder = Folder::new(&TRAINED);
    let (sweep, text) = folder.parse("").unwrap();
    let model = &sweep.models[0];
    assert_eq!(
        model.source,
        ModelSource::Safetensors(Architecture::CifarResnet { depth: 20 })
    );
    assert_eq!(
        (model.classes, model.mean.clone()),
        (10, Some(vec![0.5, 0.4, 0.25]))
    );
    assert_eq!(model.std, Some(vec![0.25, 0.2, 1.0]));
    // The completed text needs no file, and means the same.
    fs::remove_file(&model.path).unwrap();
    assert_eq!(
        parse(&text, &folder.0.path().join("s.toml")).unwrap(),
        sweep
    );
}

#[test]
fn choices_that_no_file_tells_are_written_into_the_text() {
    let (_, text) = Folder::new(&TRAINED).parse("pooling = 'max'\n").unwrap();
    for line in [
        "epsilon = 1e-5\n",
        "activation = \"relu\"\n",
        "stem-pooling = \"none\"\n",
        "pooling = 'max'\n",
        "outputs = \"scores\"\n",
    ] {
        assert_eq!(text.matches(line).count(), 1, "{line}");
    }
    assert!(!text.contains("stride-place"));
}

#[test]
fn a_table_on_one_line_is_completed_too() {
    let folder = Folder::new(&TRAINED);
    let text = "model = [{ name = 'm', path = 'm.safetensors' }, \
                { path = 'm.safetensors', name = 'o', classes = 10 }]\n\
                name = 's'\nseed = 1\n[dataset]\nformat = 'cifar10'\npath = 'd'\n\
                [smoothing]\nsigma = [0.5]\n[certify]\nn0 = 10\nn = 100\nalpha = 0.01\n";
    let (sweep, _) = parse_with_models(text, &folder.0.path().join("s.toml"), 77).unwrap();
    assert_eq!(sweep.models[0].mean, sweep.models[1].mean);
    assert_eq!(
        sweep
            .models
            .iter()
            .map(|model| model.classes)
            .collect::<Vec<_>>(),
        [10, 10]
    );
}

#[test]
fn a_specification_that_says_the_same_stays_as_it_is() {
    let own = "architecture = 'cifar-resnet20'\nclasses = 10\n\
               mean = [0.5, 0.40000001, 0.25]\nstd = [0.25, 0.2, 1]\n";
    let (sweep, text) = Folder::new(&TRAINED).parse(own).unwrap();
    assert!(text.contains(own) && text.matches("mean =").count() == 1);
    assert_eq!(sweep.models[0].mean, Some(vec![0.5, 0.400_000_01, 0.25]));
}

#[test]
fn a_specification_that_says_something_else_is_refused_with_both() {
    for (own, says) in [
        (
            "architecture = 'resnet18'\n",
            "architecture: the specification says \"resnet18\", \
             DIR/m.safetensors \"cifar-resnet20\"",
        ),
        (
            "classes = 100\n",
            "classes: the specification says 100, DIR/m.safetensors 10",
        ),
        (
            "mean = [0.5, 0.4, 0.3]\n",
            "mean: the specification says [0.5, 0.4, 0.3], \
             DIR/m.safetensors [0.5, 0.4, 0.25]",
        ),
        (
            "std = [0.25, 0.2]\n",
            "std: the specification says [0.25, 0.2], DIR/m.safetensors [0.25, 0.2, 1.0]",
        ),
    ] {
        assert_eq!(
            Folder::new(&TRAINED).parse(own).unwrap_err(),
            format!("DIR/s.toml:9: model[0].{says}")
        );
    }
    let bare = [TRAINED[0], TRAINED[1], ("mean", "[]"), ("std", "[]")];
    let error = Folder::new(&bare)
        .parse("mean = [0.5]\nstd = [1.0]\n")
        .unwrap_err();
    assert_eq!(
        error,
        "DIR/s.toml:9: model[0].mean: the specification says [0.5], DIR/m.safetensors none"
    );
    assert_eq!(Folder::new(&bare).parse("").unwrap().0.models[0].mean, None);
}

/// A folder with a ResNet-20 of zeros as a model. `more` are tensors next to it.
fn folder_of_zeros(more: &[(&str, [f32; 3])]) -> Folder {
    let folder = Folder(tempfile::tempdir().unwrap());
    let architecture = Architecture::CifarResnet { depth: 20 };
    let zeros = architecture.parameters(10).into_iter().map(|parameter| {
        let Shape::Exact(shape) = parameter.shape else {
            unreachable!("a ResNet has fixed shapes")
        };
        let bytes = vec![0; 4 * shape.iter().product::<u64>() as usize];
        new_tensor(&format!("1.{}", parameter.name), shape, bytes)
    });
    let more = more.iter().map(|(name, values)| {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        new_tensor(name, vec![1, 3, 1, 1], bytes)
    });
    let tensors: Vec<_> = zeros.chain(more).collect();
    write_safetensors(&folder.0.path().join("m.safetensors"), &tensors, &[]).unwrap();
    folder
}

fn new_tensor(name: &str, shape: Vec<u64>, bytes: Vec<u8>) -> NewTensor {
    let name = name.to_owned();
    let dtype = Dtype::F32;
    NewTensor {
        name,
        dtype,
        shape,
        bytes,
    }
}

#[test]
fn the_tensors_give_architecture_classes_and_normalisation() {
    let more = [("0.mean", [0.5, 0.4, 0.25]), ("0.std", [0.25, 0.2, 1.0])];
    let (sweep, text) = folder_of_zeros(&more).parse("").unwrap();
    let model = &sweep.models[0];
    assert_eq!(
        model.source,
        ModelSource::Safetensors(Architecture::CifarResnet { depth: 20 })
    );
    assert_eq!(
        (model.classes, &model.mean),
        (10, &Some(vec![0.5, 0.4, 0.25]))
    );
    assert_eq!(model.std, Some(vec![0.25, 0.2, 1.0]));
    assert!(
        text.contains("mean = [0.5, 0.4, 0.25]\nstd = [0.25, 0.2, 1.0]\n"),
        "{text}"
    );
}

#[test]
fn the_specification_may_say_otherwise_than_the_tensors() {
    let more = [("0.mean", [0.5, 0.4, 0.25]), ("0.std", [0.25, 0.2, 1.0])];
    let folder = folder_of_zeros(&more);
    let other = folder
        .parse("mean = [0.5, 0.5, 0.5]\nstd = [0.2, 0.2, 0.2]\n")
        .unwrap();
    assert_eq!(other.0.models[0].mean, Some(vec![0.5; 3]));
    let none = folder.parse("mean = 'none'\n").unwrap();
    assert_eq!(
        (&none.0.models[0].mean, &none.0.models[0].std),
        (&None, &None)
    );
}

#[test]
fn a_normalisation_given_nowhere_is_an_error_with_the_usual_constants() {
    let error = folder_of_zeros(&[]).parse("").unwrap_err();
    let says = "DIR/s.toml:6: model[0].mean: neither the specification nor DIR/m.safetensors says \
                how the images are normalised";
    assert!(error.starts_with(says), "{error}");
    for usual in [
        "[0.4914, 0.4822, 0.4465]",
        "[0.485, 0.456, 0.406]",
        "mean = \"none\"",
    ] {
        assert!(error.contains(usual), "{error}");
    }
    assert!(folder_of_zeros(&[]).parse("mean = 'none'\n").is_ok());
}

#[test]
fn a_key_given_nowhere_is_missing_and_lines_are_those_of_the_text_as_written() {
    let without = Folder::new(&TRAINED[1..]).parse("").unwrap_err();
    assert_eq!(
        without,
        "DIR/s.toml:8: model[0].path: the file must give what the specification omits: \
         DIR/m.safetensors: no network that ddrs builds has its tensors; the file holds 1 tensors: \
         x, ...; export a TorchScript program"
    );
    let wrong = Folder::new(&TRAINED)
        .parse("precision = 'fp8'\n")
        .unwrap_err();
    assert!(
        wrong.starts_with("DIR/s.toml:9: model[0].precision: "),
        "{wrong}"
    );
    let foreign = Folder::new(&[("architecture", "vgg"), TRAINED[1]]);
    assert_eq!(
        foreign.parse("").unwrap_err(),
        "DIR/s.toml:6: model[0].architecture: DIR/m.safetensors says \"vgg\", \
         which is not a valid value"
    );
    let folder = Folder::new(&TRAINED);
    fs::remove_file(folder.0.path().join("m.safetensors")).unwrap();
    let error = folder.parse("").unwrap_err();
    let says = "DIR/s.toml:8: model[0].path: the file must give what the specification omits: \
                DIR/m.safetensors: ";
    assert!(error.starts_with(says), "{error}");
    assert!(
        folder
            .parse("architecture = 'cifar-resnet20'\nclasses = 10\n")
            .is_ok(),
        "another check looks for the file"
    );
}
