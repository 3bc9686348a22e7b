//! Datasets in the forms in which they are published: the same images give the same records.

use std::fs;
use std::path::{Path, PathBuf};

use ddrs_tests::{TestDir, run_to_end};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden/arrays")
        .join(name)
}

/// Writes a network of ten classes. Its scores are the values of an image from `first` on.
fn write_model(dir: &TestDir, first: usize) {
    let last = first + 10;
    let lines =
        format!("    v = torch.flatten(y, 1, -1)\n    return torch.slice(v, 1, {first}, {last})\n");
    dir.program("m.pt", &lines);
}

/// Where the brightest of ten values differs between the references' images.
const FIRST: usize = 2 * 1024 + 16 * 32 + 22;

fn spec(dir: &TestDir, dataset: &str, smoothing: &str) -> PathBuf {
    let text = format!(
        "name = \"forms\"\nseed = 1\n[dataset]\n{dataset}\
         [[model]]\nname = \"m\"\npath = \"m.pt\"\nclasses = 10\n\
         [smoothing]\n{smoothing}\
         [certify]\nn0 = 10\nn = 200\nalpha = 0.01\nchunk = 100\n"
    );
    dir.write("sweep.toml", text)
}

/// Runs a sweep over a dataset, and returns what its records say of each image.
fn outcomes(dir: &TestDir, out: &str, dataset: &str) -> Vec<(u64, u64, Option<u64>)> {
    let spec = spec(dir, dataset, "sigma = [0.01]\n");
    let _ = dir.run(&spec, out, 1).expect(0);
    let records = dir.records(out);
    records
        .iter()
        .map(|((_, index), record)| {
            let label = record["label"].as_u64().unwrap();
            (*index, label, record["prediction"].as_u64())
        })
        .collect()
}

#[test]
fn every_form_of_a_dataset_gives_the_same_answers() {
    let dir = TestDir::new();
    write_model(&dir, FIRST);
    let of = |format: &str, name: &str, more: &str| {
        format!("format = \"{format}\"\npath = {:?}\n{more}", golden(name))
    };
    let labels = format!("labels = {:?}\n", golden("labels.npy"));
    let forms = [
        of("cifar10", "test_batch.bin", ""),
        of("cifar10", "cifar-10-python.tar.gz", "split = \"test\"\n"),
        of("npz", "stored.npz", ""),
        of("npz", "packed.npz", ""),
        of("npz", "images.npy", &labels),
    ];
    let expected = outcomes(&dir, "binary", &forms[0]);
    let labels: Vec<u64> = expected.iter().map(|(_, label, _)| *label).collect();
    assert_eq!(labels, [0, 1, 1, 0]);
    let predicted: Vec<_> = expected.iter().filter_map(|(.., class)| *class).collect();
    assert_eq!(predicted, [3, 0, 9, 9]);
    for (number, form) in forms.iter().enumerate().skip(1) {
        assert_eq!(
            outcomes(&dir, &number.to_string(), form),
            expected,
            "{form}"
        );
    }
    // The form of CIFAR-10 changes neither the id nor a record.
    assert_eq!(dir.stable_records("1"), dir.stable_records("binary"));
}

#[test]
fn idx_files_have_one_channel_and_parquet_three() {
    let dir = TestDir::new();
    write_model(&dir, 0);
    let folder = golden("");
    let idx = outcomes(
        &dir,
        "idx",
        &format!("format = \"mnist\"\npath = {folder:?}\n"),
    );
    assert_eq!(idx.len(), 4);
    let parquet = folder.join("../../../common/src/data/testdata/snappy.parquet");
    let parquet = fs::canonicalize(parquet).unwrap();
    let resized = format!("format = \"parquet\"\npath = {parquet:?}\nresize = 4\n");
    // The references have three classes, the network ten.
    let refused = dir.run(&spec(&dir, &resized, "sigma = [0.01]\n"), "parquet", 1);
    let refused = refused.expect(2);
    assert!(refused.stderr.contains("has 3"), "{}", refused.stderr);
}

#[test]
fn training_and_test_images_are_not_certified_together_in_silence() {
    let dir = TestDir::new();
    write_model(&dir, FIRST);
    let archive = golden("cifar-10-python.tar.gz");
    let dataset = format!("format = \"cifar10\"\npath = {archive:?}\n");
    let ended = dir
        .run(&spec(&dir, &dataset, "sigma = [0.01]\n"), "out", 1)
        .expect(2);
    assert!(
        ended
            .stderr
            .contains("cifar-10-python.tar.gz: holds training and test images: set"),
        "{}",
        ended.stderr
    );
    assert!(!dir.path("out/records.jsonl").exists());
}

/// The specification of a sweep whose sigmas a file gives.
fn file_spec(dir: &TestDir, file: &str) -> PathBuf {
    let data = format!(
        "format = \"cifar10\"\npath = \"{}\"\n",
        golden("test_batch.bin").display()
    );
    let smoothing = format!("choice = [\"file\"]\n[smoothing.file]\nlargest = 0.5\n{file}");
    spec(dir, &data, &smoothing)
}

#[test]
fn sigmas_of_a_file_certify_each_sample_and_are_a_statement_of_their_own() {
    let dir = TestDir::new();
    write_model(&dir, FIRST);
    let from_npy = file_spec(&dir, &format!("path = {:?}\n", golden("sigmas.npy")));
    let ended = dir.run(&from_npy, "npy", 1).expect(0);
    assert!(ended.stdout.contains("m/file/0.5"), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .contains("for each input the classifier at the sigma that a file gives"),
        "{}",
        ended.stdout
    );
    let records = dir.stable_records("npy");
    let expected = [0.2_f32, 0.3, 0.25, 0.5].map(f64::from);
    for ((variant, index), record) in &records {
        assert_eq!(
            (variant.as_str(), &record["statement"]),
            ("m/file/0.5", &"file".into())
        );
        assert_eq!(record["sigma"], expected[*index as usize]);
    }
    assert_eq!(records.len(), 4);
    let alone = run_to_end(
        dir.worker()
            .arg("certify")
            .arg(&from_npy)
            .args(["--index", "2", "--device", "cpu"]),
    );
    dir.write("alone/records.jsonl", alone.expect(0).stdout);
    let key = ("m/file/0.5".to_owned(), 2);
    assert_eq!(dir.stable_records("alone")[&key], records[&key]);
    // A run folder gives the sigmas that it certified: the same sweep again, from another file.
    let from_run = file_spec(&dir, "path = \"npy\"\n");
    let _ = dir.run(&from_run, "run", 1).expect(0);
    assert_eq!(dir.stable_records("run"), records);
    // So does its certification log.
    let log = fs::read_dir(dir.path("npy/report")).unwrap();
    let mut log = log.map(|entry| entry.unwrap().path());
    let log = log
        .find(|path| path.extension().is_some_and(|name| name == "tsv"))
        .unwrap();
    let from_log = file_spec(&dir, &format!("path = {log:?}\n"));
    let _ = dir.run(&from_log, "log", 1).expect(0);
    assert_eq!(dir.stable_records("log").len(), 4);
}

#[test]
fn a_record_with_another_sigma_than_the_file_gave_is_refused() {
    let dir = TestDir::new();
    write_model(&dir, FIRST);
    let spec = file_spec(&dir, &format!("path = {:?}\n", golden("sigmas.npy")));
    let _ = dir.run(&spec, "out", 1).expect(0);
    let file = dir.path("out/records.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"sigma\":0.25,", "\"sigma\":0.375,")).unwrap();
    let ended = run_to_end(dir.coordinator().args(["report", "out"]));
    assert!(
        ended.stderr.contains("sigma") && ended.code != 0,
        "{} {}",
        ended.code,
        ended.stderr
    );
}

#[test]
fn files_without_a_sigma_for_every_sample_are_refused_before_a_job() {
    let dir = TestDir::new();
    write_model(&dir, FIRST);
    let refused = |file: &str, reason: &str| {
        let ended = dir.run(&file_spec(&dir, file), "out", 1).expect(2);
        assert!(ended.stderr.contains(reason), "{}", ended.stderr);
        assert!(!dir.path("out/records.jsonl").exists());
    };
    refused("path = \"nothing.npy\"\n", "nothing.npy");
    dir.write("short.tsv", "idx\tsigma\n0\t0.25\n1\t0.25\n3\t0.25\n");
    refused(
        "path = \"short.tsv\"\n",
        "short.tsv: it has no sigma for sample 2",
    );
    dir.write(
        "wide.tsv",
        "idx\tsigma\n0\t0.25\n1\t0.25\n2\t0.6\n3\t0.25\n",
    );
    refused(
        "path = \"wide.tsv\"\n",
        "sigma 0.6 of selected sample 2 is above",
    );
    dir.write("zero.tsv", "idx\tsigma\n0\t0.25\n1\t0\n2\t0.5\n3\t0.25\n");
    refused(
        "path = \"zero.tsv\"\n",
        "sample 1: sigma must be a finite number above 0",
    );
    refused(
        &format!("path = {:?}\n", golden("labels.npy")),
        "not a list of floating-point",
    );
    refused(
        &format!("path = {:?}\n", golden("packed.npz")),
        "holds [\"images\", \"labels\"]",
    );
}
