//! The demo's records and tables are those in `tests/golden/demo`: a refactoring changes none of
//! them.
//!
//! On the CPU model that made the references every byte must agree. Another CPU may add the numbers
//! of a convolution in another order, so there a count may differ by a few draws and a chosen sigma
//! by a little, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ddrs_tests::{TestDir, program, run_to_end};
use serde_json::Value;

/// Vendor, family and model of the CPU that made the references.
const REFERENCE_CPU: [&str; 3] = ["AuthenticAMD", "25", "17"];
/// The largest difference of a count on another CPU, as a share of the draws.
const COUNT_TOLERANCE: f64 = 0.02;
/// The largest share of predictions that differ on another CPU.
const PREDICTION_TOLERANCE: f64 = 0.05;
/// The largest relative difference of a chosen sigma on another CPU.
///
/// The steps of an ascent in bf16 amplify differences of rounding: with AVX2 alone, one of 20
/// sigmas differed by 14 %.
const SIGMA_TOLERANCE: f64 = 0.3;
/// Counts are compared where sigmas differ relatively by at most this much.
const SAME_SIGMA: f64 = 0.01;

type Key = (String, u64);

#[test]
fn the_half_space_demo_gives_the_reference_records() {
    let dir = TestDir::new();
    let example = program("examples/half_space");
    let _ = run_to_end(Command::new(example).arg("generate").arg(dir.path("demo"))).expect(0);
    let _ = dir.run(&dir.path("demo/sweep.toml"), "out", 2).expect(0);
    let expected = reference("half-space.jsonl");
    let found = stable_lines(&dir.path("out/records.jsonl"));
    assert_eq!(expected.len(), 400);
    assert_eq!(found.len(), expected.len());
    assert_same(&expected, &found);
    if is_reference_cpu() {
        assert_table(&golden("half-space.csv"), &dir.path("out/report/table.csv"));
    }
}

#[test]
fn the_shapes_demo_gives_the_reference_records() {
    compare_shapes("sweep.toml", "shapes.jsonl", 40);
}

#[test]
fn the_demo_of_selected_sigma_gives_the_reference_records() {
    compare_shapes("selected.toml", "selected.jsonl", 20);
}

/// Certifies the first 20 of the demo's 100 images: each image has the position that it has in the
/// demo.
fn compare_shapes(spec: &str, records: &str, count: usize) {
    let dir = TestDir::new();
    let _ = run_to_end(Command::new(program("examples/shapes")).arg(dir.path("shapes"))).expect(0);
    let shapes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shapes");
    let spec = fs::read_to_string(shapes.join(spec)).unwrap();
    let images = "path = \"../../demo/shapes/test\"";
    assert!(
        spec.contains(images) && spec.contains("stride = 5"),
        "{spec}"
    );
    let spec = dir.write(
        "sweep.toml",
        spec.replace(images, "path = \"shapes/test\"\nlimit = 20"),
    );
    for network in ["model.safetensors", "selector.safetensors"] {
        fs::copy(shapes.join(network), dir.path(network)).unwrap();
    }
    let _ = dir.run(&spec, "out", 1).expect(0);
    let expected = reference(records);
    let found = stable_lines(&dir.path("out/records.jsonl"));
    assert_eq!((expected.len(), found.len()), (count, count));
    assert_same(&expected, &found);
}

/// Requires that every found record is the reference record of its variant and index.
fn assert_same(expected: &BTreeMap<Key, String>, found: &BTreeMap<Key, String>) {
    let exact = is_reference_cpu();
    let mut changed = 0;
    for (key, line) in found {
        let reference = &expected[key];
        if exact {
            assert_eq!(line, reference);
        } else {
            let (line, reference) = (parse(line), parse(reference));
            assert_close(&line, &reference);
            changed += usize::from(line["prediction"] != reference["prediction"]);
        }
    }
    let most = (found.len() as f64 * PREDICTION_TOLERANCE) as usize;
    assert!(changed <= most, "{changed} predictions differ");
}

/// Requires every column of the reference table, byte for byte; a newer table may have more.
fn assert_table(expected: &Path, found: &Path) {
    let [expected, found] = [expected, found].map(|path| columns(&read(path)));
    for (name, values) in &expected {
        assert_eq!(found.get(name), Some(values), "column {name}");
    }
}

/// Returns the columns of a CSV table by their names. No value of a table has a quote in it.
fn columns(text: &str) -> BTreeMap<String, Vec<String>> {
    let rows: Vec<Vec<String>> = text.lines().map(fields).collect();
    let names = rows[0].iter().enumerate();
    names
        .map(|(i, name)| {
            (
                name.clone(),
                rows[1..].iter().map(|row| row[i].clone()).collect(),
            )
        })
        .collect()
}

/// Splits a line at the commas outside of quotes.
fn fields(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    let marked: String = parts
        .map(|(i, part)| {
            if i % 2 == 0 {
                part.replace(',', "\n")
            } else {
                part.into()
            }
        })
        .collect();
    marked.split('\n').map(str::to_owned).collect()
}

fn assert_close(found: &Value, expected: &Value) {
    let words = format!("{found}\nreference: {expected}");
    for key in ["label", "sigma0", "n0", "alpha", "seed"] {
        assert_eq!(found[key], expected[key], "{key}: {words}");
    }
    // A draw can change the level that is selected, or the moment at which draws end.
    let is_selected = !expected["selector"].is_null();
    assert!(is_selected || found["n"] == expected["n"], "{words}");
    let sigmas = [found, expected].map(|record| record["sigma"].as_f64().unwrap());
    let difference = (sigmas[0] / sigmas[1] - 1.0).abs();
    assert!(is_selected || difference <= SIGMA_TOLERANCE, "{words}");
    // An abstention does not say which class was counted.
    let is_counted_alike = found["n"] == expected["n"] && difference <= SAME_SIGMA;
    let same_class = is_counted_alike && found["prediction"] == expected["prediction"];
    if same_class && !found["prediction"].is_null() {
        let counts = [found, expected].map(|record| record["count"].as_f64().unwrap());
        let share = (counts[0] - counts[1]).abs() / found["n"].as_f64().unwrap();
        assert!(share <= COUNT_TOLERANCE, "{words}");
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden/demo")
        .join(name)
}

fn reference(name: &str) -> BTreeMap<Key, String> {
    stable_lines(&golden(name))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads the lines of a record file by variant and index, without the fields that may differ
/// between runs: they are the last ones, from `seconds` on.
fn stable_lines(path: &Path) -> BTreeMap<Key, String> {
    let text = read(path);
    let stable = text
        .lines()
        .map(|line| match line.split_once(",\"seconds\":") {
            Some((stable, _)) => format!("{stable}}}"),
            None => line.to_owned(),
        });
    stable.map(|line| (key(&parse(&line)), line)).collect()
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn key(record: &Value) -> Key {
    let variant = record["variant"].as_str().unwrap().to_owned();
    (variant, record["index"].as_u64().unwrap())
}

pub(super) fn is_reference_cpu() -> bool {
    cpu().is_some_and(|cpu| cpu == REFERENCE_CPU)
}

/// Reads the vendor, family and model of the first CPU.
fn cpu() -> Option<[String; 3]> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let field = |name: &str| {
        let line = text.lines().find(|line| {
            line.split(':')
                .next()
                .is_some_and(|word| word.trim() == name)
        })?;
        Some(line.split(':').nth(1)?.trim().to_owned())
    };
    Some([field("vendor_id")?, field("cpu family")?, field("model")?])
}
