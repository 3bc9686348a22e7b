#![allow(clippy::unwrap_used)]

use super::*;
use crate::architecture::recognise;

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

    /// Puts every tensor under a prefix.
    fn wrap(&mut self, prefix: &str) {
        for tensor in &mut self.tensors {
            tensor.0 = format!("{prefix}{}", tensor.0);
        }
    }

    /// Adds a copy of the network under a prefix.
    fn copy(&mut self, prefix: &str) {
        let tensors = self.tensors.iter();
        let copies: Vec<_> = tensors
            .map(|(name, dtype, shape)| (format!("{prefix}{name}"), *dtype, shape.clone()))
            .collect();
        self.tensors.extend(copies);
    }

    /// Writes the values of one tensor into the bytes of the file.
    fn write(&self, bytes: &mut [u8], name: &str, values: &[f32]) {
        let before = self.tensors.iter().take_while(|tensor| tensor.0 != name);
        let before: u64 = before
            .map(|tensor| 4 * tensor.2.iter().product::<u64>())
            .sum();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let start = (8 + header + before) as usize;
        for (place, value) in bytes[start..].chunks_exact_mut(4).zip(values) {
            place.copy_from_slice(&value.to_le_bytes());
        }
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

/// Finds the network in a changed CIFAR ResNet-20, whose file holds zeros or `values`.
fn found(
    change: impl FnOnce(&mut ModelTensors),
    values: &[(&str, &[f32])],
    weights: Option<&str>,
) -> Result<FoundNetwork, String> {
    let mut model = ModelTensors::good("cifar-resnet20", 10);
    change(&mut model);
    let mut bytes = model.bytes();
    for (name, values) in values {
        model.write(&mut bytes, name, values);
    }
    let file = NamedTensors::from_bytes(&bytes).unwrap();
    let wanted = WantedNetwork {
        architecture: "cifar-resnet20".parse().unwrap(),
        classes: None,
        weights,
    };
    wanted.find(&file).map_err(|problem| problem.to_string())
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
        m.tensors
            .push(("1.module.bn1.num_batches_tracked".to_owned(), "I64", vec![]));
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
    refused(|m| m.add("module.fc.bias"), "unknown tensor module.fc.bias");
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
fn any_wrappers_are_found_as_the_common_prefix() {
    for prefix in [
        "module.",
        "1.module.",
        "_orig_mod.",
        "module._orig_mod.",
        "model.backbone.",
        "state_dict.ema.net.0.",
        "layer1.0.",
        "fc.",
    ] {
        let network = found(|m| m.wrap(prefix), &[], None).unwrap();
        assert_eq!(format!("{}.", network.prefix), prefix);
        assert_eq!(network.classes, 10);
        assert_eq!(
            network.names["conv1.weight"],
            format!("{prefix}conv1.weight")
        );
    }
}

#[test]
fn other_words_for_the_same_layers_are_understood() {
    let respell = |m: &mut ModelTensors| {
        for tensor in &mut m.tensors {
            tensor.0 = tensor
                .0
                .replace("fc.", "linear.")
                .replace("downsample.", "shortcut.");
        }
    };
    let network = found(respell, &[], None).unwrap();
    assert_eq!(network.names["fc.weight"], "linear.weight");
    assert_eq!(
        network.names["layer2.0.downsample.0.weight"],
        "layer2.0.shortcut.0.weight"
    );
}

#[test]
fn state_of_training_is_left_aside_and_unknown_layers_are_refused() {
    let network = found(
        |m| {
            m.wrap("module.");
            m.add("optimizer.state.0.momentum_buffer");
            m.add("n_averaged");
        },
        &[],
        None,
    );
    let left_aside = network.unwrap().left_aside;
    assert_eq!(
        left_aside,
        ["n_averaged", "optimizer.state.0.momentum_buffer"]
    );
    let denoiser = |m: &mut ModelTensors| {
        m.wrap("1.");
        m.add("0.conv.weight");
    };
    let refused = found(denoiser, &[], None).unwrap_err();
    assert!(
        refused.contains("0.conv.weight") && refused.contains("weights = \"1\""),
        "{refused}"
    );
    assert_eq!(
        found(denoiser, &[], Some("1")).unwrap().left_aside,
        ["0.conv.weight"]
    );
}

#[test]
fn of_two_networks_the_user_chooses_and_copies_are_one() {
    let two = |m: &mut ModelTensors| {
        m.wrap("net.");
        m.copy("ema.");
    };
    let network = found(two, &[], None).unwrap();
    assert_eq!(network.prefix, "net");
    let other = [("ema.net.fc.bias", &[1.0_f32][..])];
    let refused = found(two, &other, None).unwrap_err();
    let choices = "the file holds 2 networks that fit; choose one: weights = \"ema.net\" or \
                   weights = \"net\"";
    assert_eq!(
        refused.split(": ").next(),
        choices.split(": ").next(),
        "{refused}"
    );
    assert!(refused.contains("weights = \"net\"") && refused.contains("weights = \"ema.net\""));
    assert_eq!(
        found(two, &other, Some("ema.net")).unwrap().prefix,
        "ema.net"
    );
}

#[test]
fn constants_under_any_usual_name_are_found() {
    let mean = [0.4914, 0.4822, 0.4465];
    let std = [0.247, 0.2435, 0.2616];
    for (mean_name, std_name) in [
        ("mean", "std"),
        ("0.means", "0.sds"),
        ("normalize.mean", "normalize.std"),
        ("mu", "sigma"),
        ("normalizer.new_mean", "normalizer.new_std"),
        ("_mean", "_std"),
    ] {
        let add = |m: &mut ModelTensors| {
            m.wrap("1.");
            m.add(mean_name);
            m.add(std_name);
        };
        let values = [
            (mean_name, &mean.map(|value: f64| value as f32)[..]),
            (std_name, &std.map(|value: f64| value as f32)[..]),
        ];
        let constants = found(add, &values, None)
            .unwrap()
            .constants
            .unwrap()
            .unwrap();
        assert_eq!(
            (constants.mean, constants.std),
            (mean.to_vec(), std.to_vec())
        );
        assert_eq!(constants.names, [mean_name, std_name]);
    }
}

#[test]
fn a_mean_alone_divides_by_one_and_constants_that_cannot_be_are_refused() {
    let with = |names: &'static [&'static str], values: &[(&str, &[f32])]| {
        let add = |m: &mut ModelTensors| names.iter().for_each(|name| m.add(name));
        found(add, values, None).unwrap().constants
    };
    let alone = with(&["0.means"], &[("0.means", &[0.5, 0.25, 0.125])])
        .unwrap()
        .unwrap();
    assert_eq!(
        (alone.mean, alone.std),
        (vec![0.5, 0.25, 0.125], vec![1.0; 3])
    );
    let bytes = [
        ("mean", &[123.675_f32, 116.28, 103.53][..]),
        ("std", &[58.0; 3]),
    ];
    assert!(
        with(&["mean", "std"], &bytes)
            .unwrap_err()
            .contains("pixels are from 0 to 1")
    );
    assert!(with(&["std"], &[]).unwrap_err().contains("but no mean"));
    let differ = [
        ("a.mean", &[0.5_f32; 3][..]),
        ("a.std", &[0.5; 3]),
        ("b.std", &[0.5; 3]),
    ];
    let two = with(&["a.mean", "a.std", "b.mean", "b.std"], &differ);
    assert!(two.unwrap_err().contains("two normalisations"));
}

#[test]
fn the_network_is_recognised_by_its_tensors() {
    for name in [
        "cifar-resnet20",
        "cifar-resnet56-option-a",
        "resnet18",
        "resnet18-cifar",
        "resnet18-alfarra",
        "preact-resnet18-norm",
        "wide-resnet-40-2",
        "efficientnet-lite0",
        "vit-tiny-patch16-224",
    ] {
        let mut model = ModelTensors::good(name, 7);
        model.wrap("module.");
        let bytes = model.bytes();
        let recognised = recognise(&NamedTensors::from_bytes(&bytes).unwrap(), None).unwrap();
        assert_eq!(recognised.architecture.to_string(), name);
        assert_eq!(recognised.network.classes, 7);
    }
    let mut other = ModelTensors::good("cifar-resnet20", 10);
    other.tensors.retain(|tensor| tensor.0 != "bn1.weight");
    let bytes = other.bytes();
    let refused = recognise(&NamedTensors::from_bytes(&bytes).unwrap(), None).unwrap_err();
    assert!(
        refused.to_string().contains("no network that ddrs builds"),
        "{refused}"
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
