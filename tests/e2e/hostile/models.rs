//! Tests model files that are truncated, have flipped bits, or were replaced. The worker must
//! refuse them with an error that names the file, and must not crash.

use std::fs;
use std::path::Path;

use ddrs_tests::{HalfSpaceSweep, ProgramOutput, TestDir, run_to_end, shared};

use super::PrivateQueue;

/// Writes a sweep of one image of 32 x 32 pixels with a model file.
fn sweep(dir: &TestDir, model: &str, more: &str) {
    let pixels: Vec<f32> = (0..3 * 32 * 32)
        .map(|i| (i * 31 % 97) as f32 / 96.0)
        .collect();
    let labels = [ddrs_common::domain::Class(0)];
    ddrs_common::data::write_tensors(
        &dir.path("inputs.safetensors"),
        [1, 3, 32, 32],
        &pixels,
        &labels,
    )
    .unwrap();
    dir.write(
        "sweep.toml",
        format!(
            "name = \"m\"\nseed = 1\n\
             [dataset]\nformat = \"tensors\"\npath = \"inputs.safetensors\"\n\
             [[model]]\nname = \"net\"\npath = \"{model}\"\nclasses = 10\n{more}\
             [smoothing]\nsigma = [0.25]\n[certify]\nn0 = 2\nn = 10\nalpha = 0.001\nchunk = 10\n"
        ),
    );
}

/// Runs `certify`, which has no digest to compare the model with.
fn certify(dir: &TestDir) -> ProgramOutput {
    let arguments = ["certify", "sweep.toml", "--index", "0"];
    let device = ["--device", "cpu", "--threads", "1"];
    run_to_end(dir.worker().args(arguments).args(device))
}

/// Damages a model in many ways. Each time the worker must exit with an error that names the file,
/// or, if `may_pass`, with a record.
fn damage(dir: &TestDir, model: &Path, may_pass: bool) {
    let whole = fs::read(model).unwrap();
    let name = model.file_name().unwrap().to_str().unwrap();
    for cut in [0, 1, 7, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(model, &whole[..cut]).unwrap();
        let ended = certify(dir).expect(2);
        assert!(
            ended.stderr.contains(name),
            "cut at {cut}: {}",
            ended.stderr
        );
    }
    for (step, bit) in (0..12).zip([0, 3, 6, 7].into_iter().cycle()) {
        let mut flipped = whole.clone();
        let place = step * (whole.len() - 1) / 11;
        flipped[place] ^= 1 << bit;
        fs::write(model, &flipped).unwrap();
        let ended = certify(dir);
        assert!(
            ended.code == 2 || (may_pass && ended.code == 0),
            "bit {bit} of {place}: {ended:?}"
        );
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        assert!(
            ended.code == 0 || ended.stderr.contains(name),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn damaged_weights_never_crash_a_worker() {
    let dir = TestDir::new();
    let _ =
        run_to_end(
            dir.dev()
                .args(["random-weights", "cifar-resnet20", "--out", "m.safetensors"]),
        )
        .expect(0);
    sweep(
        &dir,
        "m.safetensors",
        "architecture = \"cifar-resnet20\"\nmean = \"none\"\n",
    );
    let _ = certify(&dir).expect(0);
    // A flipped bit of a weight gives another valid weight. Only a digest detects it.
    damage(&dir, &dir.path("m.safetensors"), true);
}

#[test]
#[cfg_attr(
    not(ddrs_shared),
    ignore = "needs real images and models: set DDRS_SHARED to their folder"
)]
fn damaged_programs_never_reach_libtorch() {
    let models = shared("data/models");
    let dir = TestDir::new();
    fs::copy(
        models.join("cifar_resnet20_noise0.25.torchscript.pt"),
        dir.path("m.pt"),
    )
    .unwrap();
    sweep(&dir, "m.pt", "");
    let _ = certify(&dir).expect(0);
    // Flipped bits in dates and padding of the archive have no effect.
    damage(&dir, &dir.path("m.pt"), true);
}

#[test]
fn a_model_that_differs_from_the_submitted_one_is_refused_before_any_job() {
    let dir = TestDir::new();
    let queue = PrivateQueue::start(&dir);
    let _ = dir.half_space(&HalfSpaceSweep::default());
    let sweep = queue.ask(&dir, &["submit", "sweep.toml"]).expect(0).stdout;
    let model = dir.path("model.safetensors");
    let whole = fs::read(&model).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (bytes, reason) in [
        (flipped, "is not the model that was submitted"),
        (whole[..whole.len() - 4].to_vec(), "not a safetensors file"),
    ] {
        fs::write(&model, bytes).unwrap();
        let ended = queue.work(&dir, &[]).expect(2);
        assert!(
            ended.stderr.contains("model.safetensors") && ended.stderr.contains(reason),
            "{}",
            ended.stderr
        );
    }
    fs::write(&model, whole).unwrap();
    let _ = queue.work(&dir, &[]).expect(0);
    let status = queue
        .ask(&dir, &["status", sweep.trim(), "--format", "json"])
        .expect(0)
        .stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(
        (&status["done"], &status["errors"], &status["crashes"]),
        (&48.into(), &0.into(), &0.into())
    );
    queue.stop();
}

#[test]
fn a_program_that_answers_by_the_mean_of_the_pass_is_refused_before_a_job_is_claimed() {
    let dir = TestDir::new();
    dir.program(
        "m.pt",
        "    v = torch.slice(torch.flatten(y, 1, -1), 1, 0, 10)\
         \n    return torch.mul(v, torch.tanh(torch.mean(y)))\n",
    );
    sweep(&dir, "m.pt", "");
    let queue = PrivateQueue::start(&dir);
    let sweep = queue.ask(&dir, &["submit", "sweep.toml"]).expect(0).stdout;
    for ended in [queue.work(&dir, &[]).expect(2), certify(&dir).expect(2)] {
        assert!(
            ended.stderr.contains("m.pt: ")
                && ended
                    .stderr
                    .contains("change with the other images of its pass"),
            "{}",
            ended.stderr
        );
    }
    let status = queue
        .ask(&dir, &["status", sweep.trim(), "--format", "json"])
        .expect(0)
        .stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(
        (&status["pending"], &status["leased"], &status["crashes"]),
        (&1.into(), &0.into(), &0.into())
    );
    queue.stop();
}
