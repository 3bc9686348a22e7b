//! What `make bench` prints: forward passes, rules of stopping and ways of choosing sigma as the
//! worker measures them; the queue, the command line, submitting a large sweep.
//!
//! Its arguments go to the worker's `bench`, e.g. `--peer-python PATH` or `--model cifar-resnet20`;
//! those that say where and beside what is measured also to `bench stopping` and `bench sigma`.
//! Times are of this machine at this moment; compare ratios of one run, not runs of different days.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ddrs_common::domain::SweepId;
use ddrs_common::queue::{Claim, ClaimToken, PrivateServer, QueueClient, Submission};
use ddrs_tests::{TestDir, program, write_half_space};

/// Empty jobs claimed, recorded and completed.
const JOBS: u32 = 5000;
/// Networks whose passes are timed if none is named.
const MODELS: &str = "cifar-resnet20,cifar-resnet110,resnet50";
/// Options with a value that say where and beside what is measured, whatever is measured.
const COMMON: [&str; 6] = [
    "--device",
    "--threads",
    "--format",
    "--peer-python",
    "--peer-script",
    "--peer-batch",
];
/// Files of the large dataset.
const FILES: usize = 50_000;

fn main() {
    let dir = TestDir::new();
    println!("# forward passes (ddrs-dev bench)");
    let args: Vec<String> = std::env::args().skip(1).map(from_anywhere).collect();
    let mut passes = vec!["bench", "--device", "cpu", "--precision", "fp32,bf16"];
    if !names(&args, "--model") {
        passes.extend(["--model", MODELS]);
    }
    worker(&dir, &passes, &args);
    images(&dir, &args);
    println!(
        "\n# queue: claim + record + complete of a job of one sample, local redis over a socket"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(queue(&dir));
    println!("\n# command line");
    help();
    runtime.block_on(submit(&dir));
}

/// The worker starts elsewhere, so a path must not depend on where one is.
fn from_anywhere(arg: String) -> String {
    let path = Path::new(&arg);
    let absolute = std::path::absolute(path)
        .ok()
        .filter(|_| arg.contains('/') && path.exists());
    absolute
        .and_then(|path| path.into_os_string().into_string().ok())
        .unwrap_or(arg)
}

/// Whether an option is among some arguments.
fn names(args: &[String], option: &str) -> bool {
    args.iter().any(|arg| arg.split('=').next() == Some(option))
}

/// Runs the worker and shows what it prints, as it prints it. Options that `args` names replace
/// ours.
fn worker(dir: &TestDir, ours: &[&str], args: &[String]) {
    let (command, options) = ours.split_at(
        ours.iter()
            .position(|arg| arg.starts_with("--"))
            .unwrap_or(ours.len()),
    );
    let ours = options
        .chunks(2)
        .filter(|option| !names(args, option[0]))
        .flatten();
    let status = dir
        .dev()
        .args(command)
        .args(ours)
        .args(args)
        .stdout(Stdio::inherit())
        .status();
    assert!(
        status.expect("a program that starts").success(),
        "ddrs-dev {command:?} failed"
    );
}

/// Rules of stopping and ways of choosing sigma, on drawn shapes and the network that was trained
/// on them: how much a rule saves depends on how sure a network is, so one with random weights has
/// nothing to say of it.
fn images(dir: &TestDir, args: &[String]) {
    let drawn = Command::new(program("examples/shapes"))
        .arg(dir.path("shapes"))
        .stdout(Stdio::null())
        .status();
    assert!(
        drawn.expect("a program that starts").success(),
        "the shapes were not drawn"
    );
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shapes/model.safetensors");
    let model = model.display();
    let spec = |stride: u32, n: u32| {
        format!(
            "name = \"shapes\"\nseed = 1\n[dataset]\nformat = \"image-folder\"\npath = \"shapes/test\"\n\
             stride = {stride}\n[[model]]\nname = \"shapes\"\npath = '{model}'\nprecision = \"bf16\"\n\
             [smoothing]\nsigma = [0.25]\n[certify]\nn0 = 100\nn = {n}\nalpha = 0.001\n"
        )
    };
    let mut common: Vec<String> = args
        .iter()
        .filter(|arg| *arg == "--no-peers")
        .cloned()
        .collect();
    for (place, arg) in args.iter().enumerate() {
        if COMMON
            .iter()
            .any(|option| names(std::slice::from_ref(arg), option))
        {
            let value = if arg.contains('=') {
                None
            } else {
                args.get(place + 1)
            };
            common.extend([arg].into_iter().chain(value).cloned());
        }
    }
    println!(
        "\n# seconds per certified sample by rule of stopping (ddrs-dev bench stopping), drawn shapes, n = 100,000"
    );
    dir.write("stopping.toml", spec(125, 100_000));
    worker(
        dir,
        &[
            "bench",
            "stopping",
            "stopping.toml",
            "--device",
            "cpu",
            "--samples",
            "4",
        ],
        &common,
    );
    println!("\n# ways of choosing sigma (ddrs-dev bench sigma), drawn shapes");
    dir.write("sigma.toml", spec(5, 1000));
    worker(
        dir,
        &[
            "bench",
            "sigma",
            "sigma.toml",
            "--device",
            "cpu",
            "--samples",
            "100",
        ],
        &common,
    );
}

async fn queue(dir: &TestDir) {
    let server = PrivateServer::start(&dir.path("redis"))
        .await
        .expect("a redis-server");
    let queue = QueueClient::connect(&server.url())
        .await
        .expect("a connection")
        .sweep(&SweepId::from_digest(&[1; 32]));
    let submission = Submission {
        spec: "{}",
        jobs: JOBS,
        samples: u64::from(JOBS),
        variants: 1,
        job_samples: 1,
        lease: Duration::from_secs(60),
        max_attempts: 1,
    };
    queue
        .submitter()
        .submit(&submission)
        .await
        .expect("a submission");
    let line = "x".repeat(400);
    let mut times = Vec::new();
    for _ in 0..JOBS {
        let start = Instant::now();
        let Claim::Job(claimed) = queue
            .worker("bench")
            .claim(ClaimToken::random())
            .await
            .expect("an answer")
        else {
            break;
        };
        queue
            .worker("w")
            .record(&claimed.lease, claimed.first_slot, &line)
            .await
            .expect("an answer");
        queue
            .worker("w")
            .complete(&claimed.lease)
            .await
            .expect("an answer");
        times.push(start.elapsed());
    }
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{} jobs: median {:.3} ms, p99 {:.3} ms",
        times.len(),
        at(0.5),
        at(0.99)
    );
    server.stop().await.expect("a stop");
}

fn help() {
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let start = Instant::now();
            let status = Command::new(program("ddrs-coordinator"))
                .arg("--help")
                .stdout(Stdio::null())
                .status();
            assert!(status.expect("a program that starts").success());
            start.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "ddrs-coordinator --help: median of 50 {:.1} ms",
        times[25].as_secs_f64() * 1e3
    );
}

/// Submits 50,000 samples of an image folder, and says how long it took and how much memory.
async fn submit(dir: &TestDir) {
    let picture = dir.write("picture.png", "");
    image::RgbImage::new(8, 8)
        .save(&picture)
        .expect("a picture");
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
    let server = PrivateServer::start(&dir.path("redis-submit"))
        .await
        .expect("a redis-server");
    let start = Instant::now();
    let peak = peak_memory(dir, &server.url());
    println!(
        "submit of {FILES} samples: {:.2} s, peak memory {peak}",
        start.elapsed().as_secs_f64()
    );
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
    text.lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .map(|value| value.trim().to_owned())
}
