//! Rules that join several keys.

use super::{EXAMPLE, LEAST, check, check_change, count, read, sigma};
use crate::architecture::{Activation, Architecture, NetworkOptions, Outputs, StemPooling};
use crate::spec::{ModelSource, PixelLayout, error_at};

#[test]
fn draws_that_just_suffice_are_accepted() {
    assert_eq!(
        read(&LEAST.replace("n = 1000", "n = 10")).certify.n,
        count(10)
    );
}

#[test]
fn keys_of_other_formats_are_refused() {
    let encoded = "image-folder, imagenet, parquet";
    for (key, value, formats) in [
        ("resize", "8", encoded),
        ("resize", "[8, 9]", encoded),
        ("crop", "8", encoded),
        ("classes", "'c'", "image-folder, imagenet"),
        ("labels", "'l'", "imagenet, mnist, npz"),
    ] {
        let error =
            format!("6: dataset.{key}: has no meaning for format tensors, only for {formats}");
        check_change(
            LEAST,
            "[[model]]",
            &format!("{key} = {value}\n[[model]]"),
            &error,
        );
    }
}

#[test]
fn names_are_two_and_a_split_has_a_name() {
    let change = |key: &str, error: &str| {
        check_change(LEAST, "[[model]]", &format!("{key}\n[[model]]"), error);
    };
    change(
        "names = ['x']",
        "6: dataset.names: must be the names of images and labels, two texts, not 1",
    );
    change("split = ''", "6: dataset.split: must not be empty");
    let dataset = read(&LEAST.replace(
        "[[model]]",
        "names = ['x', 'y']\nsplit = 'test'\nlayout = 'nhwc'\n[[model]]",
    ))
    .dataset;
    assert_eq!(dataset.names, Some(["x".to_owned(), "y".to_owned()]));
    assert_eq!(dataset.split.as_deref(), Some("test"));
    assert_eq!(dataset.layout, Some(PixelLayout::ChannelsLast));
}

#[test]
fn models_are_told_apart_by_their_names() {
    let second = "[[model]]\nname = 'M'\npath = 'n.pth'\nclasses = 10\n[smoothing]";
    let sweep = read(&LEAST.replace("[smoothing]", second));
    assert_eq!(sweep.models[1].source, ModelSource::TorchScript);
    check_change(
        LEAST,
        "[smoothing]",
        &second.replace('M', "m"),
        "11: model[1].name: \"m\" is already the name of model[0]",
    );
}

#[test]
fn a_half_space_is_not_normalised() {
    let model = "m.safetensors'\narchitecture = 'half-space'";
    let text = LEAST
        .replace("m.pt'", model)
        .replace("classes = 10", "classes = 2");
    assert_eq!(
        read(&text).models[0].source,
        ModelSource::Safetensors(Architecture::HalfSpace)
    );
    check(
        &text.replace("classes = 2", "classes = 2\nmean = [0]\nstd = [1]"),
        "11: model[0].mean: has no meaning for a half-space",
    );
}

#[test]
fn a_network_has_the_options_that_are_usual_for_it() {
    let read = |name: &str| {
        let model = format!("m.safetensors'\narchitecture = '{name}'");
        read(&LEAST.replace("m.pt'", &model)).models[0].options
    };
    let usual = NetworkOptions::default();
    assert_eq!(read("cifar-resnet20"), usual);
    let resnet = read("resnet50");
    assert_eq!(resnet.stem_pooling, StemPooling::Max);
    let alfarra = read("resnet18-alfarra");
    assert_eq!(alfarra.outputs, Outputs::Probabilities);
    let efficientnet = read("efficientnet-lite0");
    assert_eq!(
        (efficientnet.epsilon, efficientnet.activation),
        (1e-3, Activation::Relu6)
    );
    assert_eq!(read("vit-tiny-patch16-224").epsilon, 1e-6);
}

#[test]
fn options_that_make_no_difference_are_refused() {
    for (model, option, error) in [
        (
            "m.safetensors'\narchitecture = 'resnet18",
            "stride-place = '1x1'",
            "11: model[0].stride-place: has no meaning for resnet18",
        ),
        (
            "m.safetensors'\narchitecture = 'wide-resnet-40-2",
            "stem-pooling = 'max'",
            "11: model[0].stem-pooling: has no meaning for wide-resnet-40-2",
        ),
        (
            "m.pt",
            "epsilon = 1e-3",
            "10: model[0].epsilon: has no meaning for a TorchScript program, which contains its \
             layers",
        ),
    ] {
        let classes = format!("classes = 10\n{option}");
        let text = LEAST
            .replace("m.pt", model)
            .replace("classes = 10", &classes);
        check(&text, error);
    }
    check_change(
        LEAST,
        "classes = 10",
        "classes = 10\noutputs = 'logits'",
        "10: model[0].outputs: unknown variant `logits`, expected `scores` or `probabilities`",
    );
}

#[test]
fn sigma_out_of_the_range_of_a_choice_that_is_not_made_is_accepted() {
    assert_eq!(
        read(&LEAST.replace("[0.5]", "[5]")).smoothing.sigma,
        [sigma(5.0)]
    );
}

#[test]
fn no_two_variants_share_a_name_or_a_file() {
    let models = [
        "a",
        "a_fixed",
        "a_fixed_1",
        "a_data-dependent",
        "a.fixed",
        "a-fixed",
    ];
    let models: String = models
        .map(|name| format!("[[model]]\nname = '{name}'\npath = 'm.pt'\nclasses = 10\n"))
        .concat();
    let text = LEAST
        .replace(
            "[[model]]\nname = 'm'\npath = 'm.pt'\nclasses = 10\n",
            &models,
        )
        .replace(
            "[0.5]",
            "[0.5, 1, 1.5, 1.0000000000000002]\nchoice = ['data-dependent', 'fixed']",
        );
    let mut stems: Vec<_> = read(&text)
        .variants()
        .iter()
        .map(|variant| variant.name.file_stem())
        .collect();
    assert_eq!(stems.len(), 48);
    stems.sort();
    stems.dedup();
    assert_eq!(stems.len(), 48);
}

#[test]
fn more_than_anyone_writes_by_hand_is_refused_at_once() {
    let text = format!("{LEAST}#{}", "x".repeat(1 << 20));
    let found = text.len();
    check(
        &text,
        &format!("1: a specification has at most 1048576 bytes, not {found}"),
    );
    let sigmas: Vec<String> = (1..=1001).map(|n| n.to_string()).collect();
    check(
        &LEAST.replace("[0.5]", &format!("[{}]", sigmas.join(", "))),
        "11: smoothing.sigma: at most 1000, not 1001",
    );
    let model = |n: i32| format!("[[model]]\nname = 'm{n}'\npath = 'm.pt'\nclasses = 10\n");
    let models = (0..1001).map(model).collect::<Vec<_>>().concat();
    let text = LEAST.replace(
        "[[model]]\nname = 'm'\npath = 'm.pt'\nclasses = 10\n",
        &models,
    );
    check(&text, "6: model: at most 1000, not 1001");
}

#[test]
fn keys_and_values_nested_without_end_are_refused() {
    for text in [
        format!("{} = 1", vec!["a"; 100_000].join(".")),
        format!("[{}]", vec!["dataset"; 100_000].join(".")),
        format!("a = {}", "[".repeat(200_000)),
        format!("a = {}", "{a = ".repeat(100_000)),
        format!(
            "seed = 1\nsmoothing.{} = 1",
            vec!["\"\""; 100_000].join(".")
        ),
    ] {
        let error = crate::spec::parse(&text, "sweep.toml".as_ref())
            .expect_err("nothing means this")
            .to_string();
        assert!(error.starts_with("sweep.toml:"), "{error:.200}");
    }
}

#[test]
fn a_half_space_is_computed_in_single_precision() {
    let model = "m.safetensors'\narchitecture = 'half-space'";
    let text = LEAST
        .replace("m.pt'", model)
        .replace("classes = 10", "classes = 2\nprecision = 'fp32'");
    assert!(read(&text).models[0].precision == crate::spec::Precision::Fp32);
    for precision in ["tf32", "bf16", "fp16"] {
        let error =
            format!("11: model[0].precision: must be \"fp32\" for a half-space, not {precision:?}");
        check(&text.replace("fp32", precision), &error);
    }
}

#[test]
fn what_only_the_data_shows_is_blamed_on_the_line_of_its_key() {
    let located = |key| error_at(EXAMPLE, "sweep.toml".as_ref(), key, "is wrong").to_string();
    assert_eq!(
        located("dataset.offset"),
        "sweep.toml:7: dataset.offset: is wrong"
    );
    assert_eq!(
        located("model[0].classes"),
        "sweep.toml:17: model[0].classes: is wrong"
    );
    assert_eq!(
        located("dataset.crop"),
        "sweep.toml:4: dataset.crop: is wrong"
    );
}
