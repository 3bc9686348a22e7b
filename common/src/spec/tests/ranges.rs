//! Values that are out of range: changes to [`EXAMPLE`], with the line and key, and what is said of
//! them.

use super::{EXAMPLE, check_change};

/// Changes to [`EXAMPLE`] that are refused.
fn refused(changes: &[(&str, &str, &str)]) {
    for (from, to, error) in changes {
        check_change(EXAMPLE, from, to, error);
    }
}

#[test]
fn names_that_could_leave_their_folder_or_table_are_refused() {
    let name =
        "must be 1 to 64 letters, digits, `.`, `_` or `-`, not beginning with `.` or `-`, not";
    let long = "x".repeat(65);
    refused(&[
        (
            "cifar10-resnet20",
            "a b",
            &format!("1: name: {name} \"a b\""),
        ),
        ("cifar10-resnet20", "", &format!("1: name: {name} \"\"")),
        (
            "cifar10-resnet20",
            &long,
            &format!("1: name: {name} \"{long}\""),
        ),
        (
            "seed = 1",
            "seed = -1",
            "2: seed: must be 0 or more, not -1",
        ),
        (
            "cohen-0.25",
            ".hidden",
            &format!("14: model[0].name: {name} \".hidden\""),
        ),
        (
            "cohen-0.25",
            "-flag",
            &format!("14: model[0].name: {name} \"-flag\""),
        ),
        (
            "cohen-0.25",
            "a/b",
            &format!("14: model[0].name: {name} \"a/b\""),
        ),
        (
            "cohen-0.25",
            "é",
            &format!("14: model[0].name: {name} \"é\""),
        ),
    ]);
}

#[test]
fn a_selection_or_size_out_of_range_is_refused() {
    refused(&[
        (
            "data/cifar10/test",
            "",
            "6: dataset.path: must not be empty",
        ),
        (
            "offset = 0",
            "offset = -1",
            "7: dataset.offset: must be 0 or more, not -1",
        ),
        (
            "stride = 20",
            "stride = 0",
            "8: dataset.stride: must be 1 or more, not 0",
        ),
        (
            "limit = 500",
            "limit = 0",
            "9: dataset.limit: must be 1 or more, not 0",
        ),
        (
            "limit = 500",
            "crop = 0",
            "9: dataset.crop: must be from 1 to 16384, not 0",
        ),
        (
            "limit = 500",
            "resize = 16385",
            "9: dataset.resize: must be from 1 to 16384, not 16385",
        ),
        (
            "limit = 500",
            "crop = 9\nresize = 8",
            "9: dataset.crop: 9 pixels do not fit in the 8 of dataset.resize",
        ),
        (
            "limit = 500",
            "resize = [8, 0]",
            "9: dataset.resize: must be from 1 to 16384, not 0",
        ),
        (
            "limit = 500",
            "crop = 9\nresize = [16, 8]",
            "9: dataset.crop: 9 pixels do not fit in the 8 of dataset.resize",
        ),
        (
            "limit = 500",
            "interpolation = 'bicubic'",
            "9: dataset.interpolation: has no meaning without dataset.resize",
        ),
        (
            "limit = 500",
            "classes = ''",
            "9: dataset.classes: must not be empty",
        ),
    ]);
}

#[test]
fn a_model_out_of_range_is_refused() {
    refused(&[
        (
            "\"cifar-resnet20\"",
            "\"vgg\"",
            "16: model[0].architecture: unknown architecture \"vgg\"; known are cifar-resnet20 \
             (also 32, 44, 56, 110; with -option-a), resnet18 (also 34, 50, 101, 152; with \
             -cifar), resnet18-alfarra, preact-resnet18 (with -norm), wide-resnet-40-2 (any \
             -DEPTH-WIDTH), efficientnet-lite0, vit-tiny-patch16-224 (also small, base; any \
             side), half-space; any other network is given as a TorchScript program",
        ),
        (
            "\"cifar-resnet20\"",
            "\"half-space\"",
            "17: model[0].classes: must be 2 for a half-space, not 10",
        ),
        (
            "classes = 10",
            "classes = 1",
            "17: model[0].classes: must be from 2 to 1000000, not 1",
        ),
        (
            "mean = [0.4914, 0.4822, 0.4465]",
            "",
            "13: model[0].mean: is required together with std, and missing",
        ),
        (
            "std = [0.2023, 0.1994, 0.2010]",
            "",
            "13: model[0].std: is required together with mean, and missing",
        ),
        (
            "mean = [0.4914, 0.4822, 0.4465]",
            "mean = \"none\"",
            "19: model[0].std: has no meaning with mean = \"none\"",
        ),
        (
            "mean = [0.4914, 0.4822, 0.4465]",
            "mean = \"imagenet\"",
            "18: model[0].mean: invalid value: string \"imagenet\", expected one number per \
             channel, or \"none\"",
        ),
        (
            "mean = [0.4914, 0.4822, 0.4465]",
            "mean = []",
            "18: model[0].mean: must have one value for each of 1 to 4 channels, not 0",
        ),
        (
            "std = [0.2023, 0.1994, 0.2010]",
            "std = [1, 1e-300, 1]",
            "19: model[0].std[1]: must be from 1e-6 to 1e6, not 1e-300",
        ),
        (
            "std = [0.2023, 0.1994, 0.2010]",
            "std = [1, 1]",
            "19: model[0].std: must have 3 values, as mean has, not 2",
        ),
        (
            "mean = [0.4914,",
            "mean = [nan,",
            "18: model[0].mean[0]: must be a finite number, not NaN",
        ),
        (
            "0.1994",
            "0",
            "19: model[0].std[1]: must be from 1e-6 to 1e6, not 0",
        ),
    ]);
}

#[test]
fn noise_out_of_range_is_refused() {
    refused(&[
        (
            "[0.25, 0.5] ",
            "[]",
            "23: smoothing.sigma: must not be empty",
        ),
        (
            "[0.25, 0.5] ",
            "[-1.0]",
            "23: smoothing.sigma[0]: must be a finite number above 0, not -1",
        ),
        (
            "[0.25, 0.5] ",
            "[0.25, inf]",
            "23: smoothing.sigma[1]: must be a finite number above 0, not inf",
        ),
        (
            "[0.25, 0.5] ",
            "[0.25, 0.5, 0.25]",
            "23: smoothing.sigma[2]: is the same as smoothing.sigma[0]",
        ),
        (
            "[0.25, 0.5] ",
            "[1e-300]",
            "23: smoothing.sigma[0]: 1e-300 has more than 64 digits",
        ),
        (
            "[0.25, 0.5] ",
            "[5]",
            "23: smoothing.sigma[0]: 5 lies outside smoothing.data-dependent.range, [0.01, 4], \
             where its choice would start",
        ),
        (
            "[\"fixed\", \"data-dependent\"]",
            "[]",
            "24: smoothing.choice: must not be empty",
        ),
        (
            "\"data-dependent\"]",
            "\"fixed\"]",
            "24: smoothing.choice[1]: is the same as smoothing.choice[0]",
        ),
        (
            "iterations = 100",
            "iterations = 0",
            "27: smoothing.data-dependent.iterations: must be from 1 to 100000, not 0",
        ),
        (
            "draws = 1",
            "draws = 10001",
            "28: smoothing.data-dependent.draws: must be from 1 to 10000, not 10001",
        ),
        (
            "1e-4",
            "0",
            "29: smoothing.data-dependent.learning-rate: must be a finite number above 0, not 0",
        ),
        (
            "1e-4",
            "inf",
            "29: smoothing.data-dependent.learning-rate: must be a finite number above 0, not inf",
        ),
        (
            "0.02\n",
            "0.5\n",
            "30: smoothing.data-dependent.clamp: must be strictly between 0 and 0.5, not 0.5",
        ),
        (
            "[0.01, 4.0]",
            "[0.01, 0.5, 4.0]",
            "31: smoothing.data-dependent.range: wants two numbers, the lower end and the upper, \
             not 3",
        ),
        (
            "[0.01, 4.0]",
            "[4, 4]",
            "31: smoothing.data-dependent.range: the lower end, 4, must lie below the upper, 4",
        ),
        (
            "[0.01, 4.0]",
            "[0, 4]",
            "31: smoothing.data-dependent.range[0]: must be a finite number above 0, not 0",
        ),
    ]);
}

#[test]
fn counts_times_and_radii_out_of_range_are_refused() {
    refused(&[
        (
            "n0 = 100",
            "n0 = 0",
            "34: certify.n0: must be from 1 to 1000000000, not 0",
        ),
        (
            "n = 100_000",
            "n = 1_000_000_001",
            "35: certify.n: must be from 1 to 1000000000, not 1000000001",
        ),
        (
            "n = 100_000",
            "n = 9",
            "35: certify.n: 9 draws can never certify at alpha 0.001; at least 10 are needed",
        ),
        (
            "alpha = 0.001",
            "alpha = 1.5",
            "36: certify.alpha: must be strictly between 0 and 1, not 1.5",
        ),
        (
            "alpha = 0.001",
            "alpha = 0",
            "36: certify.alpha: must be strictly between 0 and 1, not 0",
        ),
        (
            "chunk = 500",
            "chunk = 100_001",
            "37: certify.chunk: must be from 1 to 100000, not 100001",
        ),
        (
            "job-samples = 4",
            "job-samples = 0",
            "41: queue.job-samples: must be from 1 to 10000, not 0",
        ),
        (
            "lease-seconds = 60",
            "lease-seconds = 86401",
            "42: queue.lease-seconds: must be from 1 to 86400, not 86401",
        ),
        (
            "max-attempts = 5",
            "max-attempts = 1001",
            "43: queue.max-attempts: must be from 1 to 1000, not 1001",
        ),
        (
            "[0.0, 0.25, 0.5, 0.75,",
            "[-0.5,",
            "46: report.radii[0]: must be a finite number, 0 or more, not -0.5",
        ),
        (
            "[0.0, 0.25, 0.5, 0.75,",
            "[0, 0,",
            "46: report.radii[1]: 0 does not lie above 0 before it",
        ),
        (
            "[0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5]",
            "[]",
            "46: report.radii: must not be empty",
        ),
    ]);
}

#[test]
fn names_made_to_mislead_are_refused_and_shown_harmless() {
    for name in [
        "../up",
        "..",
        ".",
        "/etc/passwd",
        "a\\u0000b",
        "a\\u001b[2Jb",
        "a\\nb",
        "\\u202Egnp",
        "=cmd",
        "<b>",
        "$x$",
        "a b",
        "a\\u00e9",
    ] {
        for (from, key, line) in [
            ("cifar10-resnet20", "name", 1),
            ("cohen-0.25", "model[0].name", 14),
        ] {
            let text = EXAMPLE.replace(from, name);
            let error = crate::spec::parse(&text, "sweep.toml".as_ref())
                .expect_err(name)
                .to_string();
            assert!(
                error.starts_with(&format!(
                    "sweep.toml:{line}: {key}: must be 1 to 64 letters"
                )),
                "{error}"
            );
            assert!(!error.chars().any(crate::terminal::is_unsafe), "{error:?}");
        }
    }
}
