//! Tests image folders: real photographs with a real architecture, and files that cannot be read.

use std::fs;
use std::path::Path;
use std::process::Command;

use ddrs_tests::{TestDir, run_to_end, shared, write_half_space};
use serde_json::Value;

/// Writes square pictures with sides of `size` pixels, one folder per class. Returns the number of
/// files.
fn pictures(dir: &TestDir, classes: &[&str], each: u32, size: u32) -> usize {
    for (class, name) in classes.iter().enumerate() {
        for number in 0..each {
            let picture = image::RgbImage::from_fn(size, size, |x, y| {
                image::Rgb([
                    (x * 7 + number * 31) as u8,
                    (y * 5) as u8,
                    (class * 90) as u8,
                ])
            });
            let path = dir.write(&format!("images/{name}/{number:03}.png"), "");
            picture.save(path).unwrap();
        }
    }
    classes.len() * each as usize
}

fn spec(dir: &TestDir) -> std::path::PathBuf {
    write_half_space(&dir.path("model.safetensors"), &vec![0.1; 3 * 8 * 8], -8.0);
    dir.write(
        "sweep.toml",
        "name = \"pictures\"\nseed = 1\n[dataset]\nformat = \"image-folder\"\npath = \"images\"\n\
         [[model]]\nname = \"plane\"\npath = \"model.safetensors\"\n\
         architecture = \"half-space\"\nclasses = 2\n\
         [smoothing]\nsigma = [0.5]\nchoice = [\"fixed\", \"data-dependent\"]\n\
         [smoothing.data-dependent]\niterations = 2\n\
         [certify]\nn0 = 10\nn = 100\nalpha = 0.001\n[queue]\njob-samples = 2\n",
    )
}

#[test]
fn a_corrupt_image_fails_alone_and_is_named() {
    let dir = TestDir::new();
    let files = pictures(&dir, &["cat", "dog"], 3, 8);
    fs::write(
        dir.path("images/dog/001.png"),
        b"\x89PNG\r\n\x1a\nnothing more",
    )
    .unwrap();
    let spec = spec(&dir);
    let ended = dir.run(&spec, "out", 1).expect(3);
    let records = dir.records("out");
    assert_eq!(records.len(), 2 * files);
    for ((variant, index), record) in &records {
        let failed = record.get("error").and_then(Value::as_str);
        assert_eq!(failed.is_some(), *index == 4, "{variant} {index}: {record}");
        assert!(
            failed.is_none_or(|error| error.contains("dog/001.png")),
            "{record}"
        );
    }
    assert!(ended.stderr.contains("failed"), "{}", ended.stderr);
    let json = run_to_end(
        dir.coordinator()
            .args(["report", "out", "--format", "json"]),
    )
    .expect(0)
    .stdout;
    let rows: Value = serde_json::from_str(&json).unwrap();
    for row in rows["rows"].as_array().unwrap() {
        assert_eq!(
            (&row["failed"], &row["samples"]),
            (&1.into(), &6.into()),
            "{row}"
        );
    }
    // The same command gives the same report and computes nothing.
    let before = fs::read(dir.path("out/records.jsonl")).unwrap();
    let _ = dir.run(&spec, "out", 1).expect(3);
    assert_eq!(before, fs::read(dir.path("out/records.jsonl")).unwrap());
}

#[test]
#[cfg_attr(
    not(ddrs_shared),
    ignore = "needs real images and models: set DDRS_SHARED to their folder"
)]
fn photographs_run_through_resnet_50() {
    let archive = shared("data/imagenet-samples/val.tar");
    let synsets = archive.with_file_name("synsets.txt");
    let dir = TestDir::new();
    unpack(&archive, &dir.path(""));
    let weights = ["random-weights", "resnet50", "--classes", "1000"];
    let _ = run_to_end(dir.dev().args(weights).args(["--out", "r50.safetensors"])).expect(0);
    let spec = dir.write(
        "sweep.toml",
        format!(
            "name = \"photographs\"\nseed = 1\n\
             [dataset]\nformat = \"image-folder\"\npath = \"val\"\nclasses = \"{}\"\n\
             resize = 256\ncrop = 224\nstride = 40\nlimit = 2\n\
             [[model]]\nname = \"r50\"\npath = \"r50.safetensors\"\narchitecture = \"resnet50\"\n\
             classes = 1000\n\
             mean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\nprecision = \"bf16\"\n\
             [smoothing]\nsigma = [0.5]\nchoice = [\"fixed\", \"data-dependent\"]\n\
             [smoothing.data-dependent]\niterations = 1\n\
             [certify]\nn0 = 2\nn = 10\nalpha = 0.001\nchunk = 10\n",
            synsets.display()
        ),
    );
    let _ = dir.run(&spec, "out", 1).expect(0);
    let labels: Vec<u64> = dir
        .records("out")
        .values()
        .map(|r| r["label"].as_u64().unwrap())
        .collect();
    let names = fs::read_to_string(synsets).unwrap();
    let mut folders: Vec<String> = fs::read_dir(dir.path("val"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    let line = |name: &str| names.lines().position(|line| line.trim() == name).unwrap() as u64;
    assert_eq!(labels, [0, 40, 0, 40].map(|folder| line(&folders[folder])));
}

fn unpack(archive: &Path, into: &Path) {
    let status = Command::new("tar")
        .arg("xf")
        .arg(archive)
        .arg("-C")
        .arg(into)
        .status()
        .unwrap();
    assert!(status.success());
}
