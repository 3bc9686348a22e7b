//! What `make bench` prints beside the worker's own figures: the queue, the command line, submitting a large sweep.
//!
//! Its arguments go to the worker, e.g. `--peer-python PATH`. Times are of this machine at this moment; compare ratios of
//! one run, not runs of different days.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ddrs_common::domain::SweepId;
use ddrs_common::queue::{Claim, ClaimToken, PrivateServer, QueueClient, Submission};
use ddrs_tests::{TestDir, end, program, write_half_space};

/// Empty jobs claimed, recorded and completed.
const JOBS: u32 = 5000;
/// Files of the large dataset.
const FILES: usize = 50_000;

fn main() {
    let dir = TestDir::new();
    println!("# forward passes (ddrs-worker bench)");
    let mut bench = dir.worker();
    bench.args(["bench", "--device", "cpu", "--precision", "fp32,bf16"]).args(std::env::args().skip(1));
    print!("{}", end(&mut bench).expect(0).stdout);
    println!("\n# queue: claim + record + complete of a job of one sample, local redis over a socket");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(queue(&dir));
    println!("\n# command line");
    help();
    runtime.block_on(submit(&dir));
}

async fn queue(dir: &TestDir) {
    let server = PrivateServer::start(&dir.path("redis")).await.expect("a redis-server");
    let queue = QueueClient::connect(&server.url()).await.expect("a connection").sweep(&SweepId::from_digest(&[1; 32]));
    let submission = Submission {
        spec: "{}",
        jobs: JOBS,
        samples: u64::from(JOBS),
        variants: 1,
        job_samples: 1,
        lease: Duration::from_secs(60),
        max_attempts: 1,
    };
    queue.submit(&submission).await.expect("a submission");
    let line = "x".repeat(400);
    let mut times = Vec::new();
    for _ in 0..JOBS {
        let start = Instant::now();
        let Claim::Job(claimed) = queue.claim("bench", ClaimToken::random()).await.expect("an answer") else { break };
        queue.record(&claimed.lease, claimed.first_slot, &line).await.expect("an answer");
        queue.complete(&claimed.lease).await.expect("an answer");
        times.push(start.elapsed());
    }
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{} jobs: median {:.3} ms, p99 {:.3} ms", times.len(), at(0.5), at(0.99));
    server.stop().await.expect("a stop");
}

fn help() {
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let start = Instant::now();
            let status = Command::new(program("ddrs-coordinator")).arg("--help").stdout(Stdio::null()).status();
            assert!(status.expect("a program that starts").success());
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("ddrs-coordinator --help: median of 50 {:.1} ms", times[25].as_secs_f64() * 1e3);
}

/// Submits 50,000 samples of an image folder, and says how long it took and how much memory.
async fn submit(dir: &TestDir) {
    let picture = dir.write("picture.png", "");
    image::RgbImage::new(8, 8).save(&picture).expect("a picture");
    for class in ["left", "right"] {
        let folder = dir.path("images").join(class);
        fs::create_dir_all(&folder).expect("a folder");
        for number in 0..FILES / 2 {
            fs::hard_link(&picture, folder.join(format!("{number:05}.png"))).expect("a link");
        }
    }
    write_half_space(&dir.path("model.safetensors"), &[1.0; 192], 0.0);
    dir.write(
        "large.toml",
        "name = \"large\"\nseed = 1\n[dataset]\nformat = \"image-folder\"\npath = \"images\"\n[[model]]\nname = \"plane\"\n\
             path = \"model.safetensors\"\narchitecture = \"half-space\"\nclasses = 2\n[smoothing]\nsigma = [0.5]\n\
             [certify]\nn0 = 10\nn = 100\nalpha = 0.001\n",
    );
    let server = PrivateServer::start(&dir.path("redis-submit")).await.expect("a redis-server");
    let start = Instant::now();
    let peak = peak_memory(dir, &server.url());
    println!("submit of {FILES} samples: {:.2} s, peak memory {peak}", start.elapsed().as_secs_f64());
    server.stop().await.expect("a stop");
}

/// Runs `submit`; its peak memory as the kernel tells it in /proc while it runs.
fn peak_memory(dir: &TestDir, url: &str) -> String {
    let mut child = dir
        .coordinator()
        .args(["submit", "large.toml", "--redis", url])
        .stdout(Stdio::null())
        .spawn()
        .expect("a start");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = "unknown".to_owned();
    while child.try_wait().expect("a child").is_none() {
        if let Some(line) = high_water(Path::new(&status)) {
            peak = line;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(child.wait().expect("a child").success());
    peak
}

fn high_water(status: &Path) -> Option<String> {
    let text = fs::read_to_string(status).ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmHWM:")).map(|value| value.trim().to_owned())
}
