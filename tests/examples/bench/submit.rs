//! The submission of a large sweep: its time and its peak memory.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use ddrs_common::queue::PrivateServer;
use ddrs_tests::{TestDir, write_half_space};

/// Files of the dataset.
const FILES: usize = 50_000;

const SPECIFICATION: &str = r#"name = "large"
seed = 1
[dataset]
format = "image-folder"
path = "images"
[[model]]
name = "plane"
path = "model.safetensors"
architecture = "half-space"
classes = 2
[smoothing]
sigma = [0.5]
[certify]
n0 = 10
n = 100
alpha = 0.001
"#;

/// Submits an image folder of [`FILES`] samples.
pub(crate) async fn measure(dir: &TestDir) {
    write_images(dir);
    write_half_space(&dir.path("model.safetensors"), &[1.0; 192], 0.0);
    dir.write("large.toml", SPECIFICATION);
    let server = PrivateServer::start(&dir.path("redis-submit"))
        .await
        .expect("a redis-server");
    let start = Instant::now();
    let peak = submit(dir, &server.url());
    let seconds = start.elapsed().as_secs_f64();
    println!("submit of {FILES} samples: {seconds:.2} s, peak memory {peak}");
    server.stop().await.expect("a stop");
}

/// Writes one picture, with links to it in two classes.
fn write_images(dir: &TestDir) {
    let picture = dir.write("picture.png", "");
    let saved = image::RgbImage::new(8, 8).save(&picture);
    saved.expect("a picture");
    for class in ["left", "right"] {
        let folder = dir.path("images").join(class);
        fs::create_dir_all(&folder).expect("a folder");
        for number in 0..FILES / 2 {
            let link = folder.join(format!("{number:05}.png"));
            fs::hard_link(&picture, link).expect("a link");
        }
    }
}

/// Runs `submit` and returns its peak memory.
fn submit(dir: &TestDir, url: &str) -> String {
    let mut child = dir
        .coordinator()
        .args(["submit", "large.toml", "--redis", url])
        .stdout(Stdio::null())
        .spawn()
        .expect("ddrs-coordinator starts");
    let peak = watch_memory(&mut child);
    let status = child.wait().expect("a child");
    assert!(status.success(), "submit failed");
    peak
}

/// Returns the last peak memory that the kernel gives in /proc while the process runs.
fn watch_memory(child: &mut Child) -> String {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = "unknown".to_owned();
    while child.try_wait().expect("a child").is_none() {
        peak = peak_memory(Path::new(&status)).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(1));
    }
    peak
}

fn peak_memory(status: &Path) -> Option<String> {
    let text = fs::read_to_string(status).ok()?;
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(value.trim().to_owned())
}
