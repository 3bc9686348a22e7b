//! Tests networks from safetensors and TorchScript files. A wrong one is refused before any job
//! runs.

use std::fs;
use std::path::PathBuf;

use ddrs_common::domain::Class;
use ddrs_tests::{TestDir, run_to_end, shared};

/// Writes a random network, a few small images and a specification. `edit` changes the text of the
/// specification.
fn sweep(dir: &TestDir, architecture: &str, edit: impl Fn(String) -> String) -> PathBuf {
    if !dir.path("model.safetensors").exists() {
        let weights = ["random-weights", architecture, "--out", "model.safetensors"];
        let _ = run_to_end(dir.dev().args(weights)).expect(0);
    }
    let pixels: Vec<f32> = (0..4 * 3 * 32 * 32)
        .map(|i| (i * 31 % 97) as f32 / 96.0)
        .collect();
    ddrs_common::data::write_tensors(
        &dir.path("inputs.safetensors"),
        [4, 3, 32, 32],
        &pixels,
        &[0, 1, 2, 3].map(Class),
    )
    .unwrap();
    let text = format!(
        "name = \"m\"\nseed = 1\n[dataset]\nformat = \"tensors\"\npath = \"inputs.safetensors\"\n\
         [[model]]\nname = \"net\"\npath = \"model.safetensors\"\n\
         architecture = \"{architecture}\"\nmean = \"none\"\nclasses = 10\n\
         [smoothing]\nsigma = [0.25]\n[certify]\nn0 = 10\nn = 40\nalpha = 0.001\nchunk = 20\n"
    );
    dir.write("sweep.toml", edit(text))
}

#[test]
fn a_resnet_runs_in_every_precision_of_the_cpu() {
    let dir = TestDir::new();
    for precision in ["fp32", "bf16"] {
        let spec = sweep(&dir, "cifar-resnet20", |text| {
            text.replace(
                "classes = 10\n",
                &format!("classes = 10\nprecision = \"{precision}\"\n"),
            )
        });
        let _ = dir.run(&spec, precision, 1).expect(0);
        assert_eq!(dir.records(precision).len(), 4);
    }
}

const ASCENT: &str = "sigma = [0.25]\nchoice = [\"data-dependent\"]\n\
    [smoothing.data-dependent]\niterations = 4\nlearning-rate = 0.1\n";

#[test]
fn sigma_does_not_depend_on_the_other_inputs_of_a_job() {
    let dir = TestDir::new();
    let mut seen = Vec::new();
    for job in [1, 3, 4] {
        let spec = sweep(&dir, "cifar-resnet20", |text| {
            text.replace("sigma = [0.25]\n", ASCENT) + &format!("[queue]\njob-samples = {job}\n")
        });
        let out = format!("job-{job}");
        let _ = dir.run(&spec, &out, 1).expect(0);
        seen.push(dir.stable_records(&out));
    }
    assert!(
        seen[0].values().all(|record| record["sigma"] != 0.25),
        "sigma must differ from its start for each sample"
    );
    assert!(seen.iter().all(|records| *records == seen[0]));
}

#[test]
fn a_wrong_model_is_refused_before_any_job_runs() {
    type Edit = fn(String) -> String;
    let cases: [(&str, Edit, &str); 5] = [
        (
            "class count",
            |t| t.replace("classes = 10", "classes = 7"),
            "10 classes",
        ),
        (
            "architecture",
            |t| t.replace("cifar-resnet20", "resnet18"),
            "cifar-resnet20",
        ),
        (
            "depth",
            |t| t.replace("cifar-resnet20", "cifar-resnet32"),
            "cifar-resnet20",
        ),
        (
            "no such file",
            |t| t.replace("model.safetensors", "nothing.safetensors"),
            "nothing.safetensors",
        ),
        (
            "not on the cpu",
            |t| t.replace("classes = 10\n", "classes = 10\nprecision = \"tf32\"\n"),
            "tf32",
        ),
    ];
    for (name, edit, word) in cases {
        let dir = TestDir::new();
        let spec = sweep(&dir, "cifar-resnet20", edit);
        let ended = dir.run(&spec, "out", 1).expect(2);
        assert!(ended.stderr.contains(word), "{name}: {}", ended.stderr);
        assert!(dir.records("out").is_empty(), "{name}");
    }
}

#[test]
fn a_truncated_model_is_named() {
    let dir = TestDir::new();
    let spec = sweep(&dir, "cifar-resnet20", |text| text);
    let model = dir.path("model.safetensors");
    let bytes = fs::read(&model).unwrap();
    fs::write(&model, &bytes[..bytes.len() / 2]).unwrap();
    let ended = dir.run(&spec, "out", 1).expect(2);
    assert!(
        ended.stderr.contains("model.safetensors"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_model_that_is_not_torchscript_is_named() {
    let dir = TestDir::new();
    let spec = sweep(&dir, "cifar-resnet20", |text| {
        text.replace("model.safetensors", "model.pt")
            .replace("architecture = \"cifar-resnet20\"\n", "")
    });
    dir.write("model.pt", "not a program");
    let ended = dir.run(&spec, "out", 1).expect(2);
    assert!(ended.stderr.contains("model.pt"), "{}", ended.stderr);
}

#[test]
#[cfg_attr(
    not(ddrs_shared),
    ignore = "needs real images and models: set DDRS_SHARED to their folder"
)]
fn torchscript_of_the_same_weights_gives_the_same_predictions() {
    let models = shared("data/models");
    let dir = TestDir::new();
    let mut counts = Vec::new();
    // The TorchScript program normalises its input. The safetensors file has no normalisation.
    let native = "architecture = \"cifar-resnet20\"\n\
        mean = [0.4914, 0.4822, 0.4465]\nstd = [0.2023, 0.1994, 0.2010]\n";
    for (out, file, architecture) in [
        ("native", "cifar_resnet20_noise0.25.safetensors", native),
        ("script", "cifar_resnet20_noise0.25.torchscript.pt", ""),
    ] {
        let path = models.join(file).display().to_string();
        let spec = sweep(&dir, "cifar-resnet20", |text| {
            text.replace(
                "architecture = \"cifar-resnet20\"\nmean = \"none\"\n",
                architecture,
            )
            .replace("model.safetensors", &path)
            .replace("n = 40\n", "n = 1000\n")
        });
        let _ = dir.run(&spec, out, 1).expect(0);
        let records = dir.records(out);
        counts.push(records.values().map(guess_and_count).collect::<Vec<_>>());
    }
    // The files differ, and with them the noise: each count has a standard deviation of at most 16.
    for (native, script) in counts[0].iter().zip(&counts[1]) {
        assert_eq!(native.0, script.0);
        assert!((native.1 - script.1).abs() <= 90, "{native:?} {script:?}");
    }
}

/// Returns the class certified, which must not be an abstention, and its count.
fn guess_and_count(record: &serde_json::Value) -> (u64, i64) {
    let prediction = record["prediction"].as_u64();
    (
        prediction.unwrap_or_else(|| panic!("abstained: {record}")),
        record["count"].as_i64().unwrap(),
    )
}
