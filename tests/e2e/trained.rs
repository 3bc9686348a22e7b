//! Tests the way from training to certificates. The file that `train` writes describes its network.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use ddrs_common::domain::Class;
use ddrs_tests::{TestDir, run_to_end, signal};

/// Trains a network for two steps and writes a specification that certifies it. `own` are the keys
/// of its model table.
fn trained(dir: &TestDir, own: &str) -> PathBuf {
    let pixels: Vec<f32> = (0..12 * 3 * 16 * 16)
        .map(|i| (i * 31 % 97) as f32 / 96.0)
        .collect();
    let labels: Vec<Class> = (0..12).map(|i| Class(i % 3)).collect();
    ddrs_common::data::write_tensors(
        &dir.path("images.safetensors"),
        [12, 3, 16, 16],
        &pixels,
        &labels,
    )
    .unwrap();
    let dataset =
        "name = \"t\"\nseed = 1\n[dataset]\nformat = \"tensors\"\npath = \"images.safetensors\"\n";
    let training = "[validation]\nsamples = 4\n\
                    [model]\narchitecture = \"cifar-resnet20\"\nclasses = 3\n\
                    mean = [0.5, 0.4, 0.25]\nstd = [0.25, 0.2, 1.0]\n\
                    [loss]\nkind = \"gaussian\"\n[sigma]\ninitial = 0.25\n\
                    [train]\nepochs = 1\nbatch = 4\ngroup = 2\n\
                    [optimiser]\nlearning-rate = 0.01\n";
    let spec = dir.write("train.toml", format!("{dataset}{training}"));
    let mut train = dir.worker();
    train
        .arg("train")
        .arg(spec)
        .args(["--out", "model.safetensors", "--device", "cpu"]);
    let _ = run_to_end(&mut train).expect(0);
    let certify =
        "[smoothing]\nsigma = [0.25]\n[certify]\nn0 = 10\nn = 40\nalpha = 0.001\nchunk = 20\n";
    dir.write(
        "sweep.toml",
        format!("{dataset}[[model]]\nname = \"m\"\npath = \"model.safetensors\"\n{own}{certify}"),
    )
}

#[test]
fn a_trained_network_is_certified_by_its_path_alone() {
    let dir = TestDir::new();
    let _ = dir.run(&trained(&dir, ""), "short", 1).expect(0);
    let whole = "architecture = \"cifar-resnet20\"\nclasses = 3\n\
                 mean = [0.5, 0.4, 0.25]\nstd = [0.25, 0.2, 1.0]\n";
    let _ = dir.run(&trained(&dir, whole), "long", 1).expect(0);
    assert_eq!(dir.records("short").len(), 12);
    assert_eq!(dir.stable_records("short"), dir.stable_records("long"));
    let manifest = fs::read_to_string(dir.path("short/manifest.json")).unwrap();
    assert!(manifest.contains("mean = [0.5, 0.4, 0.25]"), "{manifest}");
}

#[test]
fn a_normalisation_that_differs_from_training_is_refused_with_both() {
    let dir = TestDir::new();
    let spec = trained(&dir, "mean = [0.5, 0.5, 0.5]\n");
    let ended = dir.run(&spec, "out", 1).expect(2);
    for word in [
        "model[0].mean",
        "[0.5, 0.5, 0.5]",
        "[0.5, 0.4, 0.25]",
        "model.safetensors",
    ] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
    assert!(dir.records("out").is_empty());
}

/// Writes a training specification that runs long enough to be interrupted, with these keys for the
/// ascent. Returns its path and the path of its output.
fn long(dir: &TestDir, ascent: &str, epochs: u32) -> (PathBuf, PathBuf) {
    let _ = trained(dir, "");
    let text = fs::read_to_string(dir.path("train.toml")).unwrap();
    let text = text
        .replace("epochs = 1\n", &format!("epochs = {epochs}\n"))
        .replace(
            "initial = 0.25\n",
            &format!("initial = 0.25\nchoice = \"data-dependent\"\n{ascent}\n"),
        );
    (dir.write("long.toml", text), dir.path("long.safetensors"))
}

#[test]
fn a_training_that_was_killed_resumes_and_gives_the_same_weights() {
    let dir = TestDir::new();
    let (spec, out) = long(&dir, "draws = 2\nlearning-rate = 0.01", 60);
    let train = |out: &Path| {
        let mut command = dir.worker();
        command
            .arg("train")
            .arg(&spec)
            .arg("--out")
            .arg(out)
            .args(["--device", "cpu"]);
        command
    };
    let mut process = train(&out)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let checkpoint = out.with_extension("checkpoint.safetensors");
    while !checkpoint.exists() {
        assert!(
            process.try_wait().unwrap().is_none(),
            "the training ended before its first checkpoint"
        );
        sleep(Duration::from_millis(2));
    }
    process.kill().unwrap();
    assert_eq!(
        process.wait().unwrap().signal(),
        Some(9),
        "the training ended before it was killed"
    );
    assert!(!out.exists());
    let _ = run_to_end(&mut train(&out)).expect(0);
    let whole = dir.path("whole.safetensors");
    let _ = run_to_end(&mut train(&whole)).expect(0);
    assert!(fs::read(out).unwrap() == fs::read(whole).unwrap());
}

#[test]
fn a_second_signal_stops_a_training_during_a_step() {
    let dir = TestDir::new();
    // The first step of the second epoch takes far longer than the test.
    let (spec, out) = long(&dir, "from-epoch = 1\niterations = 10000", 2);
    let checkpoint = out.with_extension("checkpoint.safetensors");
    // No log line shows that the step has begun. If the signal arrives before the step, training
    // ends normally, and the next try waits longer.
    for pause in [100, 1_000, 10_000, 60_000] {
        let mut command = dir.worker();
        command
            .arg("train")
            .arg(&spec)
            .arg("--out")
            .arg(&out)
            .args(["--device", "cpu"]);
        let mut process = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap())
            .lines()
            .map(Result::unwrap);
        while !checkpoint.exists() {
            assert!(
                process.try_wait().unwrap().is_none(),
                "the training ended before its first checkpoint"
            );
            sleep(Duration::from_millis(2));
        }
        let before = fs::read(&checkpoint).unwrap();
        sleep(Duration::from_millis(pause));
        signal("TERM", process.id());
        assert!(log.any(|line| line.contains("SIGTERM: stopping after this step")));
        while process.try_wait().unwrap().is_none() {
            signal("TERM", process.id());
            sleep(Duration::from_millis(50));
        }
        assert_eq!(process.wait().unwrap().code(), Some(130));
        assert!(!out.exists());
        if log.any(|line| line.contains("SIGTERM again: stopping at once")) {
            assert!(fs::read(&checkpoint).unwrap() == before);
            return;
        }
    }
    panic!("no signal arrived during the endless step");
}
