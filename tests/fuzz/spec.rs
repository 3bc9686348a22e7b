//! Fuzzes the specification of a sweep.

use std::path::Path;

use ddrs_common::spec::{Sweep, parse};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::damage::damaged_text;
use crate::fuzz;

/// A specification with every key.
pub(crate) const WHOLE: &str = r#"name = "whole"
seed = 1
[dataset]
format = "image-folder"
path = "data"
offset = 0
stride = 20
limit = 500
resize = 256
crop = 224
classes = "synsets.txt"
[[model]]
name = "a"
path = "a.safetensors"
architecture = "resnet18"
classes = 10
mean = [0.4914, 0.4822, 0.4465]
std = [0.2023, 0.1994, 0.2010]
precision = "fp32"
[[model]]
name = "b"
path = "b.pt"
classes = 10
[smoothing]
sigma = [0.25, 0.5]
choice = ["fixed", "data-dependent"]
[smoothing.data-dependent]
iterations = 100
draws = 1
learning-rate = 1e-4
clamp = 0.02
range = [0.01, 4.0]
[certify]
n0 = 100
n = 100_000
alpha = 0.001
chunk = 500
memory = true
[queue]
job-samples = 4
lease-seconds = 60
max-attempts = 5
[report]
radii = [0.0, 0.25, 0.5]
"#;

/// Reads a text. An error must name the file and a line of it.
fn read(text: &str) -> Result<Option<Sweep>, TestCaseError> {
    match parse(text, Path::new("dir/sweep.toml")) {
        Ok(sweep) => Ok(Some(sweep)),
        Err(error) => {
            prop_assert!(
                (1..=text.lines().count() + 1).contains(&error.line),
                "{error}"
            );
            prop_assert!(
                error
                    .to_string()
                    .starts_with(&format!("dir/sweep.toml:{}: ", error.line)),
                "{error}"
            );
            prop_assert!(
                !error.message.is_empty() && !error.message.contains('\n'),
                "{error}"
            );
            Ok(None)
        }
    }
}

#[test]
fn any_text_is_read_or_refused_at_one_of_its_lines() {
    fuzz(&"\\PC{0,80}", |text| read(&text).map(|_| ()));
    fuzz(&vec(any::<u8>(), 0..200), |bytes| {
        read(&String::from_utf8_lossy(&bytes)).map(|_| ())
    });
    fuzz(
        &"([a-z-]{1,9}|\\[|\\]|\\{|\\}|\\.|=|'|\"|#|\n| |[0-9e+-]{1,5}|nan|inf|true){0,60}",
        |text| read(&text).map(|_| ()),
    );
}

#[test]
fn damaged_specifications_are_read_or_refused_at_one_of_their_lines() {
    fuzz(&damaged_text(WHOLE), |text| read(&text).map(|_| ()));
}

#[test]
fn keys_of_any_value_are_read_or_refused_at_their_own_line() {
    let value = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| if n.is_nan() {
            "nan".to_owned()
        } else {
            format!("{n:?}")
        }),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("true".to_owned()),
        Just("1979-05-27".to_owned()),
        vec(
            any::<f64>().prop_filter("a number", |n| n.is_finite()),
            0..4
        )
        .prop_map(|n| format!("{n:?}")),
        any::<String>().prop_map(|text| format!("{text:?}")),
    ];
    let lines: Vec<usize> = (0..WHOLE.lines().count())
        .filter(|&i| !WHOLE.lines().nth(i).unwrap().starts_with('['))
        .collect();
    fuzz(&(prop::sample::select(lines), value), |(line, value)| {
        let replaced = |(i, text): (usize, &str)| match text.split_once('=') {
            Some((key, _)) if i == line => format!("{key}= {value}\n"),
            _ => format!("{text}\n"),
        };
        let text: String = WHOLE.lines().enumerate().map(replaced).collect();
        if text.lines().count() == WHOLE.lines().count() {
            // The value may conflict with that of another key. The error then names the other key.
            read(&text)?;
        }
        Ok(())
    });
}

#[test]
fn valid_specifications_are_read_with_the_written_values() {
    let numbers = (0..i64::MAX, 0..i64::MAX, 1..i64::MAX, 10..1_000_000_000_i64);
    let noise = vec(1e-3..1e3_f64, 1..6);
    let name = "[A-Za-z0-9_][A-Za-z0-9._-]{0,63}";
    fuzz(
        &(numbers, noise, name, "[^\\x00-\\x1f\\x7f'\r\n]{1,40}"),
        |((seed, offset, stride, n), mut noise, name, path)| {
            noise.sort_by(f64::total_cmp);
            noise.dedup();
            let text = format!(
                "name = '{name}'\nseed = {seed}\n\
                 [dataset]\nformat = 'cifar10'\npath = '{path}'\n\
                 offset = {offset}\nstride = {stride}\n\
                 [[model]]\nname = '{name}'\npath = 'm.pt'\nclasses = 10\n\
                 [smoothing]\nsigma = {noise:?}\n\
                 [certify]\nn0 = 1\nn = {n}\nalpha = 0.001\n"
            );
            let sweep = parse(&text, Path::new("dir/sweep.toml"))
                .map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(
                (sweep.seed, sweep.dataset.selection.offset),
                (seed as u64, offset as u64)
            );
            prop_assert_eq!(
                (sweep.dataset.selection.stride.get(), sweep.certify.n.get()),
                (stride as u64, n as u64)
            );
            prop_assert_eq!(&sweep.dataset.path, &Path::new("dir").join(path));
            let read: Vec<f64> = sweep
                .variants()
                .iter()
                .map(|variant| variant.sigma0.get())
                .collect();
            prop_assert_eq!(read, noise);
            for variant in sweep.variants() {
                let stem = variant.name.file_stem();
                prop_assert!(
                    !stem.contains(['/', '\0']) && stem != "." && stem != ".." && stem.len() < 200,
                    "{}",
                    stem
                );
            }
            Ok(())
        },
    );
}
