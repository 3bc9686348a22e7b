#![allow(clippy::unwrap_used)]

use std::num::NonZeroU64;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::architecture::Architecture;
use crate::domain::{Alpha, Choice, Radius, Sigma};

/// The example of the specification's contract.
const EXAMPLE: &str = r#"name = "cifar10-resnet20"
seed = 1

[dataset]
format = "image-folder"      # image-folder (index: classes sorted, then file names) | cifar10 (binary files) | tensors (safetensors: images, labels)
path = "data/cifar10/test"   # relative to the spec file
offset = 0                   # first index, then every `stride`-th, `limit` of them
stride = 20
limit = 500
# resize = 256  crop = 224   # as torchvision: shorter side, bilinear with antialiasing, centre crop
# classes = "synsets.txt"    # label order when folders are not all classes

[[model]]
name = "cohen-0.25"
path = "models/r20.safetensors"   # .safetensors with `architecture`, or a TorchScript .pt
architecture = "cifar-resnet20"   # cifar-resnet{20,110,…}, resnet18, resnet50
classes = 10
mean = [0.4914, 0.4822, 0.4465]   # normalisation happens after the noise is added: radii are in [0,1] pixels
std = [0.2023, 0.1994, 0.2010]
precision = "fp32"                # fp32 | tf32 | bf16 | fp16: part of what is certified

[smoothing]
sigma = [0.25, 0.5]                      # fixed value, or where the choice starts
choice = ["fixed", "data-dependent"]     # variants: model x choice x sigma

[smoothing.data-dependent]               # Algorithm 1; defaults are the paper's code
iterations = 100
draws = 1
learning-rate = 1e-4
clamp = 0.02
range = [0.01, 4.0]                      # sigma never leaves it

[certify]
n0 = 100
n = 100_000
alpha = 0.001
chunk = 500                              # draws per seeded chunk and forward pass
memory = true                            # Algorithm 2 for data-dependent variants, at report time

[queue]
job-samples = 4
lease-seconds = 60
max-attempts = 5

[report]
radii = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5]
"#;

/// Nothing but what has no default.
const LEAST: &str = "name = 's'
seed = 1
[dataset]
format = 'tensors'
path = 'd.safetensors'
[[model]]
name = 'm'
path = 'm.pt'
classes = 10
[smoothing]
sigma = [0.5]
[certify]
n0 = 100
n = 1000
alpha = 0.001
";

fn count(value: u64) -> NonZeroU64 {
    NonZeroU64::new(value).unwrap()
}

fn sigma(value: f64) -> Sigma {
    Sigma::new(value).unwrap()
}

fn example() -> Sweep {
    Sweep {
        name: "cifar10-resnet20".to_owned(),
        seed: 1,
        dataset: DatasetSpec {
            format: DatasetFormat::ImageFolder,
            path: "sweeps/data/cifar10/test".into(),
            offset: 0,
            stride: count(20),
            limit: Some(count(500)),
            resize: None,
            crop: None,
            classes: None,
        },
        models: vec![ModelSpec {
            name: "cohen-0.25".to_owned(),
            path: "sweeps/models/r20.safetensors".into(),
            source: ModelSource::Safetensors(Architecture::CifarResnet { depth: 20 }),
            classes: 10,
            mean: Some(vec![0.4914, 0.4822, 0.4465]),
            std: Some(vec![0.2023, 0.1994, 0.2010]),
            precision: Precision::Fp32,
        }],
        smoothing: SmoothingSpec {
            sigma: vec![sigma(0.25), sigma(0.5)],
            choice: vec![Choice::Fixed, Choice::DataDependent],
            data_dependent: DataDependentSpec {
                method: SigmaMethod::Gradient,
                iterations: 100,
                draws: 1,
                learning_rate: 1e-4,
                clamp: 0.02,
                range: (sigma(0.01), sigma(4.0)),
            },
        },
        certify: CertifySpec {
            n0: count(100),
            n: count(100_000),
            alpha: Alpha::new(0.001).unwrap(),
            chunk: count(500),
            memory: true,
            stopping: Stopping::Fixed,
        },
        queue: QueueSpec { job_samples: count(4), lease: Duration::from_secs(60), max_attempts: 5 },
        report: ReportSpec { radii: vec![0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5] },
    }
}

fn read(text: &str) -> Sweep {
    parse(text, Path::new("sweeps/sweep.toml")).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// `text` with one change, and the error that it is refused with.
fn check_change(text: &str, from: &str, to: &str, error: &str) {
    assert_eq!(text.matches(from).count(), 1, "{from:?}");
    check(&text.replace(from, to), error);
}

fn check(text: &str, error: &str) {
    match parse(text, Path::new("sweep.toml")) {
        Ok(_) => panic!("accepted, not refused with {error:?}:\n{text}"),
        Err(found) => assert_eq!(found.to_string(), format!("sweep.toml:{error}"), "{text}"),
    }
}

#[test]
fn the_example_is_read_as_it_is_meant() {
    assert_eq!(read(EXAMPLE), example());
}

#[test]
fn what_is_left_out_has_the_defaults_of_the_contract() {
    let sweep = Sweep {
        name: "s".to_owned(),
        dataset: DatasetSpec {
            format: DatasetFormat::Tensors,
            path: "sweeps/d.safetensors".into(),
            stride: count(1),
            limit: None,
            ..example().dataset
        },
        models: vec![ModelSpec {
            name: "m".to_owned(),
            path: "sweeps/m.pt".into(),
            source: ModelSource::TorchScript,
            classes: 10,
            mean: None,
            std: None,
            precision: Precision::Fp32,
        }],
        smoothing: SmoothingSpec { sigma: vec![sigma(0.5)], choice: vec![Choice::Fixed], ..example().smoothing },
        certify: CertifySpec { n: count(1000), ..example().certify },
        ..example()
    };
    assert_eq!(read(LEAST), sweep);
}

#[test]
fn every_key_is_read() {
    let text = EXAMPLE
        .replace("# resize = 256  crop = 224", "resize = 256\ncrop = 224 #")
        .replace("# classes = \"synsets.txt\"", "classes = '/labels/synsets.txt'")
        .replace("fp32", "bf16")
        .replace("memory = true", "memory = false");
    let mut sweep = example();
    sweep.dataset = DatasetSpec {
        resize: Some(256),
        crop: Some(224),
        classes: Some("/labels/synsets.txt".into()),
        ..sweep.dataset
    };
    sweep.models[0].precision = Precision::Bf16;
    sweep.certify.memory = false;
    assert_eq!(read(&text), sweep);
}

#[test]
fn paths_start_from_the_folder_of_the_file() {
    let path = |file: &str| parse(LEAST, Path::new(file)).unwrap().dataset.path;
    assert_eq!(path("sweep.toml"), Path::new("d.safetensors"));
    assert_eq!(path("/a/b/sweep.toml"), Path::new("/a/b/d.safetensors"));
    assert_eq!(path("../sweep.toml"), Path::new("../d.safetensors"));
}

#[test]
fn integers_stand_for_floating_point_numbers() {
    let text = LEAST.replace("[0.5]", "[1]\n[smoothing.data-dependent]\nrange = [1, 4]\nlearning-rate = 1");
    let smoothing = read(&text).smoothing;
    assert_eq!(smoothing.sigma, [sigma(1.0)]);
    assert_eq!(smoothing.data_dependent.range, (sigma(1.0), sigma(4.0)));
    assert_eq!(smoothing.data_dependent.learning_rate, 1.0);
}

#[test]
fn text_that_is_no_toml_is_refused_where_it_breaks() {
    check("name = [", "1: name: unclosed array, expected `]`");
    check("name = 's'\nseed = 1 2\n", "2: seed: string values must be quoted, expected literal string");
    check("name = 's'\nseed = \n", "2: seed: string values must be quoted, expected literal string");
    check("name = 's'\nname = 't'\n", "2: name: duplicate key");
    check(&format!("{LEAST}n0 = 5\n"), "16: certify.n0: duplicate key");
    check(&format!("{LEAST}[certify]\n"), "16: certify: duplicate key");
    check("[dataset\n", "1: dataset: unclosed table, expected `]`");
    check("?", "1: key with no value, expected `=`");
}

#[test]
fn unknown_keys_are_refused_with_those_that_exist() {
    let root = "`name`, `seed`, `dataset`, `model`, `smoothing`, `certify`, `queue`, `report`";
    check(&format!("bogus = 1\n{LEAST}"), &format!("1: bogus: unknown field `bogus`, expected one of {root}"));
    check(
        &format!("{LEAST}bogus = 1\n"),
        "16: certify.bogus: unknown field `bogus`, expected one of `n0`, `n`, `alpha`, `chunk`, `memory`, `stopping`",
    );
    check_change(
        LEAST,
        "[smoothing]",
        "n = 1\n[smoothing]",
        "10: model[0].n: unknown field `n`, expected one of `name`, `path`, `architecture`, `classes`, `mean`, `std`, `precision`",
    );
    check(
        &format!("{LEAST}[queue.more]\n"),
        "16: queue.more: unknown field `more`, expected one of `job-samples`, `lease-seconds`, `max-attempts`",
    );
    check(&format!("{LEAST}[report]\nradius = [1]\n"), "17: report.radius: unknown field `radius`, expected `radii`");
    check(
        &format!("{LEAST}[smoothing.data-dependent]\nlearning_rate = 1\n"),
        "17: smoothing.data-dependent.learning_rate: unknown field `learning_rate`, expected one of `method`, `iterations`, `draws`, `learning-rate`, `rounds`, `candidates`, `clamp`, `range`",
    );
}

#[test]
fn required_keys_that_are_missing_are_named_with_the_line_of_their_table() {
    for (line, error) in [
        ("name = 's'\n", "1: name"),
        ("seed = 1\n", "1: seed"),
        ("format = 'tensors'\n", "3: dataset.format"),
        ("path = 'd.safetensors'\n", "3: dataset.path"),
        ("name = 'm'\n", "6: model[0].name"),
        ("path = 'm.pt'\n", "6: model[0].path"),
        ("classes = 10\n", "6: model[0].classes"),
        ("sigma = [0.5]\n", "10: smoothing.sigma"),
        ("n0 = 100\n", "12: certify.n0"),
        ("n = 1000\n", "12: certify.n"),
        ("alpha = 0.001\n", "12: certify.alpha"),
        ("[smoothing]\nsigma = [0.5]\n", "1: smoothing.sigma"),
    ] {
        check_change(LEAST, line, "", &format!("{error}: is required and missing"));
    }
    check_change(
        LEAST,
        "[[model]]\nname = 'm'\npath = 'm.pt'\nclasses = 10\n",
        "",
        "1: model: at least one [[model]] is required",
    );
    check_change(
        LEAST,
        "m.pt",
        "m.safetensors",
        "6: model[0].architecture: is required for a .safetensors file, and missing",
    );
    check("", "1: name: is required and missing");
}

#[test]
fn values_of_a_wrong_type_are_refused() {
    check_change(LEAST, "seed = 1", "seed = '1'", "2: seed: invalid type: string \"1\", expected an integer");
    check_change(
        LEAST,
        "n = 1000",
        "n = 1e5",
        "14: certify.n: invalid type: floating point `100000.0`, expected an integer",
    );
    check_change(LEAST, "0.001", "'x'", "15: certify.alpha: invalid type: string \"x\", expected a number");
    check_change(LEAST, "[0.5]", "0.5", "11: smoothing.sigma: invalid type: floating point `0.5`, expected a sequence");
    check_change(
        LEAST,
        "[0.5]",
        "[\n0.5,\n'x']",
        "13: smoothing.sigma[1]: invalid type: string \"x\", expected a number",
    );
    check_change(
        LEAST,
        "'tensors'",
        "'png'",
        "4: dataset.format: unknown variant `png`, expected one of `image-folder`, `cifar10`, `tensors`",
    );
    check_change(
        LEAST,
        "[0.5]",
        "[0.5]\nchoice = ['best']",
        "12: smoothing.choice[0]: unknown variant `best`, expected `fixed` or `data-dependent`",
    );
    check_change(LEAST, "[[model]]", "[model]", "6: model: must be an array of tables, [[model]]");
    check_change(LEAST, "[certify]", "[[certify]]", "12: certify: must be one table, [certify]");
    check_change(LEAST, "[0.5]", "[0.5]\ndata-dependent = [1]", "12: smoothing.data-dependent: must be one table");
    let path = "path = 'd.safetensors'";
    check_change(LEAST, path, "path.x = 1", "5: dataset.path: invalid type: table, expected a string");
    check_change(
        LEAST,
        "seed = 1",
        "seed = 9223372036854775808",
        "2: seed: invalid value: integer `9223372036854775808`, expected one up to 9223372036854775807",
    );
}

/// Changes to [`EXAMPLE`], with the line and key, and what is said of them.
#[test]
fn values_out_of_range_are_refused() {
    let name = "must be 1 to 64 letters, digits, `.`, `_` or `-`, not beginning with `.` or `-`, not";
    let long = "x".repeat(65);
    for (from, to, error) in [
        ("cifar10-resnet20", "a b", &*format!("1: name: {name} \"a b\"")),
        ("cifar10-resnet20", "", &format!("1: name: {name} \"\"")),
        ("cifar10-resnet20", &long, &format!("1: name: {name} \"{long}\"")),
        ("seed = 1", "seed = -1", "2: seed: must be 0 or more, not -1"),
        ("data/cifar10/test", "", "6: dataset.path: must not be empty"),
        ("offset = 0", "offset = -1", "7: dataset.offset: must be 0 or more, not -1"),
        ("stride = 20", "stride = 0", "8: dataset.stride: must be 1 or more, not 0"),
        ("limit = 500", "limit = 0", "9: dataset.limit: must be 1 or more, not 0"),
        ("limit = 500", "crop = 0", "9: dataset.crop: must be from 1 to 16384, not 0"),
        ("limit = 500", "resize = 16385", "9: dataset.resize: must be from 1 to 16384, not 16385"),
        ("limit = 500", "crop = 9\nresize = 8", "9: dataset.crop: 9 pixels do not fit in the 8 of dataset.resize"),
        ("limit = 500", "classes = ''", "9: dataset.classes: must not be empty"),
        ("cohen-0.25", ".hidden", &format!("14: model[0].name: {name} \".hidden\"")),
        ("cohen-0.25", "-flag", &format!("14: model[0].name: {name} \"-flag\"")),
        ("cohen-0.25", "a/b", &format!("14: model[0].name: {name} \"a/b\"")),
        ("cohen-0.25", "é", &format!("14: model[0].name: {name} \"é\"")),
        (
            "r20.safetensors",
            "r20.pt",
            "16: model[0].architecture: a TorchScript file brings its own; only .safetensors takes one",
        ),
        (
            "r20.safetensors",
            "r20.onnx",
            "15: model[0].path: models/r20.onnx is neither .safetensors nor TorchScript (.pt or .pth)",
        ),
        (
            "\"cifar-resnet20\"",
            "\"vgg\"",
            "16: model[0].architecture: unknown architecture \"vgg\"; known are cifar-resnet20 (also 32, 44, 56, 110), resnet18, resnet50, half-space",
        ),
        ("\"cifar-resnet20\"", "\"half-space\"", "17: model[0].classes: must be 2 for a half-space, not 10"),
        ("classes = 10", "classes = 1", "17: model[0].classes: must be from 2 to 1000000, not 1"),
        ("mean = [0.4914, 0.4822, 0.4465]", "", "13: model[0].mean: is required beside std, and missing"),
        ("std = [0.2023, 0.1994, 0.2010]", "", "13: model[0].std: is required beside mean, and missing"),
        (
            "mean = [0.4914, 0.4822, 0.4465]",
            "mean = []",
            "18: model[0].mean: must have one value for each of 1 to 4 channels, not 0",
        ),
        ("std = [0.2023, 0.1994, 0.2010]", "std = [1, 1]", "19: model[0].std: must have 3 values, as mean has, not 2"),
        ("mean = [0.4914,", "mean = [nan,", "18: model[0].mean[0]: must be a finite number, not NaN"),
        ("0.1994", "0", "19: model[0].std[1]: must be a finite number above 0, not 0"),
        ("[0.25, 0.5] ", "[]", "23: smoothing.sigma: must not be empty"),
        ("[0.25, 0.5] ", "[-1.0]", "23: smoothing.sigma[0]: must be a finite number above 0, not -1"),
        ("[0.25, 0.5] ", "[0.25, inf]", "23: smoothing.sigma[1]: must be a finite number above 0, not inf"),
        ("[0.25, 0.5] ", "[0.25, 0.5, 0.25]", "23: smoothing.sigma[2]: is the same as smoothing.sigma[0]"),
        ("[0.25, 0.5] ", "[1e-300]", "23: smoothing.sigma[0]: 1e-300 has more than 64 digits"),
        (
            "[0.25, 0.5] ",
            "[5]",
            "23: smoothing.sigma[0]: 5 lies outside smoothing.data-dependent.range, [0.01, 4], where its choice would start",
        ),
        ("[\"fixed\", \"data-dependent\"]", "[]", "24: smoothing.choice: must not be empty"),
        ("\"data-dependent\"]", "\"fixed\"]", "24: smoothing.choice[1]: is the same as smoothing.choice[0]"),
        (
            "iterations = 100",
            "iterations = 0",
            "27: smoothing.data-dependent.iterations: must be from 1 to 100000, not 0",
        ),
        ("draws = 1", "draws = 10001", "28: smoothing.data-dependent.draws: must be from 1 to 10000, not 10001"),
        ("1e-4", "0", "29: smoothing.data-dependent.learning-rate: must be a finite number above 0, not 0"),
        ("1e-4", "inf", "29: smoothing.data-dependent.learning-rate: must be a finite number above 0, not inf"),
        ("0.02\n", "0.5\n", "30: smoothing.data-dependent.clamp: must be strictly between 0 and 0.5, not 0.5"),
        ("[0.01, 4.0]", "[4, 4]", "31: smoothing.data-dependent.range: the lower end, 4, must lie below the upper, 4"),
        ("[0.01, 4.0]", "[0, 4]", "31: smoothing.data-dependent.range[0]: must be a finite number above 0, not 0"),
        ("n0 = 100", "n0 = 0", "34: certify.n0: must be from 1 to 1000000000, not 0"),
        ("n = 100_000", "n = 1_000_000_001", "35: certify.n: must be from 1 to 1000000000, not 1000000001"),
        ("n = 100_000", "n = 9", "35: certify.n: 9 draws can never certify at alpha 0.001; at least 10 are needed"),
        ("alpha = 0.001", "alpha = 1.5", "36: certify.alpha: must be strictly between 0 and 1, not 1.5"),
        ("alpha = 0.001", "alpha = 0", "36: certify.alpha: must be strictly between 0 and 1, not 0"),
        ("chunk = 500", "chunk = 100_001", "37: certify.chunk: must be from 1 to 100000, not 100001"),
        ("job-samples = 4", "job-samples = 0", "41: queue.job-samples: must be from 1 to 10000, not 0"),
        ("lease-seconds = 60", "lease-seconds = 86401", "42: queue.lease-seconds: must be from 1 to 86400, not 86401"),
        ("max-attempts = 5", "max-attempts = 1001", "43: queue.max-attempts: must be from 1 to 1000, not 1001"),
        ("[0.0, 0.25, 0.5, 0.75,", "[-0.5,", "46: report.radii[0]: must be a finite number, 0 or more, not -0.5"),
        ("[0.0, 0.25, 0.5, 0.75,", "[0, 0,", "46: report.radii[1]: 0 does not lie above 0 before it"),
        ("[0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5]", "[]", "46: report.radii: must not be empty"),
    ] {
        check_change(EXAMPLE, from, to, error);
    }
}

#[test]
fn draws_that_just_suffice_are_accepted() {
    assert_eq!(read(&LEAST.replace("n = 1000", "n = 10")).certify.n, count(10));
}

#[test]
fn stopping_rules_and_methods_out_of_range_are_refused() {
    for (from, to, error) in [
        (
            "chunk = 500",
            "stopping = 'early' #",
            "37: certify.stopping: invalid value: string \"early\", expected \"fixed\", { radii = [...] } or { loss = ... }",
        ),
        (
            "chunk = 500",
            "stopping = [0.5] #",
            "37: certify.stopping: invalid type: sequence, expected \"fixed\", { radii = [...] } or { loss = ... }",
        ),
        ("chunk = 500", "stopping = {} #", "37: certify.stopping: must have one key, radii or loss"),
        (
            "chunk = 500",
            "stopping = { radii = [0], loss = 0.1 } #",
            "37: certify.stopping: must have one key, radii or loss",
        ),
        ("chunk = 500", "stopping = { radii = [] } #", "37: certify.stopping.radii: must not be empty"),
        (
            "chunk = 500",
            "stopping = { radii = [1, 1] } #",
            "37: certify.stopping.radii[1]: 1 does not lie above 1 before it",
        ),
        (
            "chunk = 500",
            "stopping = { radii = [-1] } #",
            "37: certify.stopping.radii[0]: must be a finite number, 0 or more, not -1",
        ),
        (
            "chunk = 500",
            "stopping = { loss = 1 } #",
            "37: certify.stopping.loss: must be strictly between 0 and 1, not 1",
        ),
        (
            "iterations = 100",
            "method = 'search'",
            "29: smoothing.data-dependent.learning-rate: has no meaning for method search, only for gradient",
        ),
        (
            "iterations = 100",
            "rounds = 2",
            "27: smoothing.data-dependent.rounds: has no meaning for method gradient, only for search",
        ),
    ] {
        check_change(EXAMPLE, from, to, error);
    }
}

#[test]
fn a_rule_that_keeps_a_part_of_alpha_back_needs_more_draws() {
    let early = "n = 10\nstopping = { radii = [0] }";
    check(
        &LEAST.replace("n = 1000", early),
        "14: certify.n: 10 draws can never certify at alpha 0.001; at least 11 are needed",
    );
    let radii = Stopping::Radii(vec![Radius::ZERO]);
    assert_eq!(read(&LEAST.replace("n = 1000", &early.replace("10", "11"))).certify.stopping, radii);
    let tiny = LEAST.replace("n = 1000", "n = 2000\nstopping = { loss = 0.1 }").replace("0.001", "1e-301");
    let error = parse(&tiny, Path::new("s.toml")).unwrap_err().to_string();
    assert!(error.starts_with("s.toml:16: certify.alpha: must be at least 1e-300 under this"), "{error}");
}

#[test]
fn a_stopping_rule_is_shown_as_it_is_written() {
    for rule in ["{ radii = [0, 0.25, 1] }", "{ loss = 0.01 }"] {
        let text = LEAST.replace("n = 1000", &format!("n = 1000\nstopping = {rule}"));
        assert_eq!(read(&text).certify.stopping.to_string(), rule);
    }
    assert_eq!(Stopping::Fixed.to_string(), "fixed");
}

#[test]
fn the_parts_of_alpha_never_make_more_than_the_whole() {
    let radii = Stopping::Radii(vec![Radius::ZERO]);
    for alpha in [0.5, 0.05, 0.01, 0.001, 0.3, 1e-6, 1.0 / 3.0, 1e-300] {
        let alpha = Alpha::new(alpha).unwrap();
        let (before, at) = (radii.alpha_before_n(alpha).unwrap().get(), radii.alpha_at_n(alpha).get());
        assert!(before + at <= alpha.get() && before + at > alpha.get() * (1.0 - 1e-14), "{alpha}");
        assert_eq!((Stopping::Fixed.alpha_before_n(alpha), Stopping::Fixed.alpha_at_n(alpha)), (None, alpha));
    }
}

#[test]
fn a_search_has_its_own_keys_and_defaults() {
    let table = "[smoothing.data-dependent]\nmethod = 'search'\n";
    let search = |keys: &str| read(&format!("{LEAST}{table}{keys}")).smoothing.data_dependent;
    let default = search("");
    assert_eq!((default.method, default.draws), (SigmaMethod::Search { rounds: 3, candidates: 5 }, 8));
    let given = search("rounds = 2\ncandidates = 9\ndraws = 32\nclamp = 0.01\nrange = [0.1, 1]");
    assert_eq!((given.method, given.draws), (SigmaMethod::Search { rounds: 2, candidates: 9 }, 32));
    assert_eq!((given.clamp, given.range), (0.01, (sigma(0.1), sigma(1.0))));
    for bad in ["rounds = 0", "candidates = 2", "draws = 0"] {
        assert!(parse(&format!("{LEAST}{table}{bad}"), Path::new("s.toml")).is_err(), "{bad}");
    }
}

#[test]
fn keys_of_image_folders_are_refused_elsewhere() {
    for (key, value) in [("resize", "8"), ("crop", "8"), ("classes", "'c'")] {
        let error = format!("6: dataset.{key}: has no meaning for format tensors, only for image-folder");
        check_change(LEAST, "[[model]]", &format!("{key} = {value}\n[[model]]"), &error);
    }
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
    let text = LEAST.replace("m.pt'", model).replace("classes = 10", "classes = 2");
    assert_eq!(read(&text).models[0].source, ModelSource::Safetensors(Architecture::HalfSpace));
    check(
        &text.replace("classes = 2", "classes = 2\nmean = [0]\nstd = [1]"),
        "11: model[0].mean: has no meaning for a half-space",
    );
}

#[test]
fn sigma_out_of_the_range_of_a_choice_that_is_not_made_is_accepted() {
    assert_eq!(read(&LEAST.replace("[0.5]", "[5]")).smoothing.sigma, [sigma(5.0)]);
}

#[test]
fn no_two_variants_share_a_name_or_a_file() {
    let models = ["a", "a_fixed", "a_fixed_1", "a_data-dependent", "a.fixed", "a-fixed"];
    let models: String =
        models.map(|name| format!("[[model]]\nname = '{name}'\npath = 'm.pt'\nclasses = 10\n")).concat();
    let text = LEAST
        .replace("[[model]]\nname = 'm'\npath = 'm.pt'\nclasses = 10\n", &models)
        .replace("[0.5]", "[0.5, 1, 1.5, 1.0000000000000002]\nchoice = ['data-dependent', 'fixed']");
    let mut stems: Vec<_> = read(&text).variants().iter().map(|variant| variant.name.file_stem()).collect();
    assert_eq!(stems.len(), 48);
    stems.sort();
    stems.dedup();
    assert_eq!(stems.len(), 48);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn damaged_text_is_read_or_refused_at_one_of_its_lines(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40, "[\\[\\]{}.=#'\"\n0-9a-z, é-]{0,4}"), 1..4),
    ) {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for (at, cut, insert) in edits {
            let start = at.index(text.len());
            let end = text.len().min(start + cut);
            text.splice(start..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = parse(&text, Path::new("sweep.toml")) {
            prop_assert!((1..=text.lines().count() + 1).contains(&error.line), "{error}");
            prop_assert!(!error.message.is_empty() && !error.message.contains('\n'));
        }
    }

    #[test]
    fn arbitrary_text_is_refused(text in "\\PC{0,60}") {
        prop_assert!(parse(&text, Path::new("sweep.toml")).is_err());
    }
}
