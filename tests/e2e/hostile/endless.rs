//! Tests pipes without a writer and files without an end as input of each program.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use ddrs_tests::{TestDir, run_to_end};

use super::pictures;

/// Checks that `doctor` and `run` refuse the specification for this reason.
fn assert_refused(dir: &TestDir, spec: &str, why: &str) {
    for program in [
        dir.coordinator().args(["doctor", spec]),
        dir.coordinator().args(["run", spec, "--out", "out"]),
    ] {
        let ended = run_to_end(program).expect(2);
        assert!(
            (ended.stdout + &ended.stderr).contains(why),
            "expected {why:?}"
        );
    }
}

#[test]
fn a_specification_without_an_end_is_refused() {
    let dir = TestDir::new();
    symlink("/dev/zero", dir.path("sweep.toml")).unwrap();
    assert_refused(&dir, "sweep.toml", "longer than the 1048576 bytes allowed");
    let ended =
        run_to_end(
            dir.worker()
                .args(["certify", "sweep.toml", "--index", "0", "--device", "cpu"]),
        )
        .expect(2);
    assert!(ended.stderr.contains("longer than"), "{}", ended.stderr);
}

#[test]
fn models_and_records_must_be_regular_files() {
    let dir = TestDir::new();
    let _ = pictures(&dir, "");
    for class in ["a", "b"] {
        fs::create_dir_all(dir.path("images").join(class)).unwrap();
        image::RgbImage::new(8, 8)
            .save(dir.path("images").join(class).join("0.png"))
            .unwrap();
    }
    let arguments = ["run", "sweep.toml", "--out", "valid", "--device", "cpu"];
    let _ = run_to_end(dir.coordinator().args(arguments)).expect(0);
    for special in ["/dev/zero", "pipe"] {
        let model = dir.path("model.safetensors");
        fs::remove_file(&model).unwrap();
        if special == "pipe" {
            assert!(
                Command::new("mkfifo")
                    .arg(&model)
                    .status()
                    .unwrap()
                    .success()
            );
        } else {
            symlink(special, &model).unwrap();
        }
        assert_refused(&dir, "sweep.toml", "not a regular file");
    }
    let records = dir.path("valid/records.jsonl");
    fs::remove_file(&records).unwrap();
    symlink("/dev/zero", &records).unwrap();
    let ended = run_to_end(dir.coordinator().args(["report", "valid"])).expect(2);
    assert!(
        ended.stderr.contains("not a regular file"),
        "{}",
        ended.stderr
    );
}
