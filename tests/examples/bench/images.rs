//! Stopping rules and ways of choosing sigma, on drawn shapes and the network that was trained on
//! them. A network with random weights would not show what a rule saves, because that depends on
//! how confident a network is.

use std::path::Path;
use std::process::{Command, Stdio};

use ddrs_tests::{TestDir, program};

use crate::run_bench;

/// Runs `ddrs-dev bench stopping` and `ddrs-dev bench sigma`.
pub(crate) fn measure(dir: &TestDir, options: &[String]) {
    draw_shapes(dir);
    println!(
        "\n# seconds per certified sample by stopping rule (ddrs-dev bench stopping), drawn \
         shapes, n = 100,000"
    );
    dir.write("stopping.toml", specification(125, 100_000));
    let stopping = ["bench", "stopping", "stopping.toml", "--samples", "4"];
    run_bench(dir, &stopping, options);
    println!("\n# ways of choosing sigma (ddrs-dev bench sigma), drawn shapes");
    dir.write("sigma.toml", specification(5, 1000));
    let sigma = ["bench", "sigma", "sigma.toml", "--samples", "100"];
    run_bench(dir, &sigma, options);
}

fn draw_shapes(dir: &TestDir) {
    let status = Command::new(program("examples/shapes"))
        .arg(dir.path("shapes"))
        .stdout(Stdio::null())
        .status()
        .expect("examples/shapes starts");
    assert!(status.success(), "the shapes were not drawn");
}

fn specification(stride: u32, n: u32) -> String {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shapes/model.safetensors");
    let model = model.display();
    format!(
        r#"name = "shapes"
seed = 1
[dataset]
format = "image-folder"
path = "shapes/test"
stride = {stride}
[[model]]
name = "shapes"
path = '{model}'
precision = "bf16"
[smoothing]
sigma = [0.25]
[certify]
n0 = 100
n = {n}
alpha = 0.001
"#
    )
}
