#![allow(clippy::unwrap_used)]

use super::*;

/// A model file as a list of tensors, with zeros for weights.
struct ModelTensors {
    metadata: serde_json::Value,
    tensors: Vec<(String, &'static str, Vec<u64>)>,
}

impl ModelTensors {
    fn good(architecture: &str, classes: u32) -> Self {
        let parameters = architecture
            .parse::<Architecture>()
            .unwrap()
            .parameters(classes);
        let tensor = |parameter: Parameter| {
            let Shape::Exact(shape) = parameter.shape else {
                return (parameter.name, "F32", vec![12]);
            };
            (parameter.name, "F32", shape)
        };
        Self {
            metadata: serde_json::Value::Null,
            tensors: parameters.into_iter().map(tensor).collect(),
        }
    }

    fn tensor(&mut self, name: &str) -> &mut (String, &'static str, Vec<u64>) {
        self.tensors
            .iter_mut()
            .find(|tensor| tensor.0 == name)
            .unwrap()
    }

    fn add(&mut self, name: &str) {
        self.tensors.push((name.to_owned(), "F32", vec![3]));
    }

    fn bytes(&self) -> Vec<u8> {
        let (mut header, mut end) = (serde_json::Map::new(), 0);
        if !self.metadata.is_null() {
            header.insert("__metadata__".to_owned(), self.metadata.clone());
        }
        for (name, dtype, shape) in &self.tensors {
            let start = end;
            let width = if dtype.ends_with("16") {
                2
            } else {
                dtype[1..].parse::<u64>().unwrap() / 8
            };
            end += width * shape.iter().product::<u64>();
            let info =
                serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]});
            header.insert(name.clone(), info);
        }
        let header = serde_json::to_vec(&header).unwrap();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.resize(bytes.len() + end as usize, 0);
        bytes
    }
}

fn check_bytes(bytes: &[u8], architecture: &str, classes: u32) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let checked = check_model(&path, architecture.parse().unwrap(), classes)
        .map_err(|error| error.to_string());
    let file = format!("{}: ", path.display());
    checked.map_err(|error| {
        error
            .strip_prefix(&file)
            .expect("the file's name comes first")
            .to_owned()
    })
}

/// Checks a good CIFAR ResNet-20 after a change.
fn check(change: impl FnOnce(&mut ModelTensors)) -> Result<(), String> {
    let mut model = ModelTensors::good("cifar-resnet20", 10);
    change(&mut model);
    check_bytes(&model.bytes(), "cifar-resnet20", 10)
}

fn refused(change: impl FnOnce(&mut ModelTensors), error: &str) {
    assert_eq!(check(change), Err(error.to_owned()));
}

#[test]
fn a_file_with_all_tensors_passes() {
    for (architecture, classes) in [
        ("cifar-resnet20", 10),
        ("cifar-resnet32", 2),
        ("resnet18", 7),
        ("half-space", 2),
    ] {
        assert_eq!(
            check_bytes(
                &ModelTensors::good(architecture, classes).bytes(),
                architecture,
                classes
            ),
            Ok(())
        );
    }
}

#[test]
fn prefixes_counters_and_normalisation_do_not_matter() {
    let wrap = |m: &mut ModelTensors| {
        for tensor in &mut m.tensors {
            tensor.0 = format!("1.module.{}", tensor.0);
        }
        m.add("0.mean");
        m.add("0.sds");
        m.add("1.module.bn1.num_batches_tracked");
    };
    assert_eq!(check(wrap), Ok(()));
    assert_eq!(check(|m| m.tensor("conv1.weight").1 = "BF16"), Ok(()));
    assert_eq!(check(|m| m.tensor("conv1.weight").1 = "F64"), Ok(()));
}

#[test]
fn other_names_of_the_same_layers_fit() {
    let rename = |m: &mut ModelTensors| {
        for tensor in &mut m.tensors {
            let name = tensor.0.replace("fc.", "linear.");
            tensor.0 = name.replace(".downsample.", ".shortcut.");
        }
    };
    assert_eq!(check(rename), Ok(()));
}

#[test]
fn a_copy_of_a_block_that_no_layer_uses_is_left_aside() {
    let mut wide = ModelTensors::good("wide-resnet-10-1", 10);
    wide.add("sub_block1.layer.0.conv1.weight");
    wide.tensor("sub_block1.layer.0.conv1.weight").2 = vec![16, 16, 3, 3];
    assert_eq!(check_bytes(&wide.bytes(), "wide-resnet-10-1", 10), Ok(()));
}

#[test]
fn a_tensor_that_does_not_fit_is_named() {
    refused(
        |m| m.tensors.retain(|t| t.0 != "layer2.0.bn1.bias"),
        "tensor layer2.0.bn1.bias of shape [32] is missing",
    );
    refused(
        |m| m.tensor("layer1.0.conv1.weight").2 = vec![16, 16, 1, 1],
        "tensor layer1.0.conv1.weight has shape [16, 16, 1, 1], expected [16, 16, 3, 3]",
    );
    refused(
        |m| m.tensor("fc.weight").2 = vec![100, 64],
        "model has 100 classes, the specification says 10",
    );
    refused(
        |m| m.tensor("fc.weight").2 = vec![10, 63],
        "tensor fc.weight has shape [10, 63], expected [10, 64]",
    );
    refused(
        |m| m.tensor("fc.bias").1 = "I64",
        "tensor fc.bias holds I64, expected F16, BF16, F32 or F64",
    );
    refused(
        |m| m.add("layer4.0.conv1.weight"),
        "unknown tensor layer4.0.conv1.weight",
    );
    refused(|m| m.add("layer1.mean"), "unknown tensor layer1.mean");
    refused(
        |m| m.add("module.fc.bias"),
        "tensors fc.bias and module.fc.bias are both fc.bias",
    );
}

#[test]
fn a_deeper_network_is_not_taken_for_a_shallower_one() {
    let deep = ModelTensors::good("cifar-resnet32", 10).bytes();
    assert_eq!(
        check_bytes(&deep, "cifar-resnet20", 10),
        Err("unknown tensor layer1.3.bn1.bias".to_owned())
    );
    let shallow = ModelTensors::good("cifar-resnet20", 10).bytes();
    let missing = "tensor layer1.3.conv1.weight of shape [16, 16, 3, 3] is missing";
    assert_eq!(
        check_bytes(&shallow, "cifar-resnet32", 10),
        Err(missing.to_owned())
    );
}

#[test]
fn the_architecture_in_the_metadata_counts() {
    let named =
        |name: &'static str| check(move |m| m.metadata = serde_json::json!({"architecture": name}));
    assert_eq!(named("cifar-resnet20"), Ok(()));
    assert_eq!(named("cifar_resnet20"), Ok(()));
    assert_eq!(
        named("wide-resnet"),
        Err("model is wide-resnet, the specification says cifar-resnet20".to_owned())
    );
}

#[test]
fn a_file_that_is_not_safetensors_is_refused() {
    let whole = ModelTensors::good("half-space", 2).bytes();
    let text = b"{\"weight\": 1}";
    let mut garbage = (text.len() as u64).to_le_bytes().to_vec();
    garbage.extend(text);
    for (bytes, error) in [
        (&whole[..5], "shorter than 8 bytes"),
        (&whole[..20], "does not fit in a file of 20"),
        (
            &whole[..whole.len() - 1],
            "its tensors take 52 bytes, the file holds 51",
        ),
        (&[0xff; 16], "does not fit in a file of 16"),
        (&garbage, "invalid type"),
    ] {
        let found = check_bytes(bytes, "half-space", 2).unwrap_err();
        assert!(
            found.starts_with("not a safetensors file: ") && found.contains(error),
            "{found}"
        );
    }
    let missing = check_model(
        Path::new("/no/such.safetensors"),
        Architecture::HalfSpace,
        2,
    )
    .unwrap_err()
    .to_string();
    assert!(missing.starts_with("/no/such.safetensors: "), "{missing}");
}

#[test]
#[cfg_attr(
    not(ddrs_shared),
    ignore = "needs real images and models: set DDRS_SHARED to their folder"
)]
fn a_real_model_passes_as_what_it_is_and_as_nothing_else() {
    let models = Path::new(env!("DDRS_SHARED")).join("data/models");
    let path = models.join("cifar_resnet20_noise0.25.safetensors");
    let check = |name: &str, classes| {
        check_model(&path, name.parse().unwrap(), classes)
            .map_err(|error| error.problem.to_string())
    };
    assert_eq!(check("cifar-resnet20", 10), Ok(()));
    assert_eq!(
        check("cifar-resnet20", 100),
        Err("model has 10 classes, the specification says 100".to_owned())
    );
    let other = "model is cifar-resnet20, the specification says resnet18";
    assert_eq!(check("resnet18", 10), Err(other.to_owned()));
}
