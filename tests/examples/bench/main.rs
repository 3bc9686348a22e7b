//! The measurements of `make bench`: forward passes, noise, stopping rules and ways of choosing
//! sigma by `ddrs-dev bench`; then the queue, the command line, and the submission of a large
//! sweep.
//!
//! Times are of this machine at this moment. Compare ratios of one run, not runs of different days.

mod arguments;
mod images;
mod queue;
mod submit;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use arguments::BenchArguments;
use clap::Parser;
use ddrs_tests::{TestDir, program};

/// Starts of the program whose time is measured.
const STARTS: usize = 50;

fn main() {
    let arguments = BenchArguments::parse();
    let dir = TestDir::new();
    println!("# forward passes (ddrs-dev bench)");
    run_bench(&dir, &["bench"], &arguments.of_passes());
    println!("\n# networks against TorchScript (ddrs-dev bench script)");
    run_bench(&dir, &["bench", "script"], &[]);
    println!("\n# noise per value, one core of the cpu (ddrs-dev bench noise)");
    run_bench(&dir, &["bench", "noise"], &[]);
    images::measure(&dir, &arguments.of_images());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(queue::measure(&dir));
    measure_help();
    runtime.block_on(submit::measure(&dir));
}

/// Runs `ddrs-dev` with its output on ours.
fn run_bench(dir: &TestDir, command: &[&str], options: &[String]) {
    let status = dir
        .dev()
        .args(command)
        .args(options)
        .stdout(Stdio::inherit())
        .status()
        .expect("ddrs-dev starts");
    assert!(status.success(), "ddrs-dev {command:?} failed");
}

fn measure_help() {
    println!("\n# command line");
    let mut times: Vec<Duration> = (0..STARTS).map(|_| time_of_help()).collect();
    times.sort();
    let median = times[STARTS / 2].as_secs_f64() * 1e3;
    println!("ddrs-coordinator --help: median of {STARTS} {median:.1} ms");
}

fn time_of_help() -> Duration {
    let start = Instant::now();
    let status = Command::new(program("ddrs-coordinator"))
        .arg("--help")
        .stdout(Stdio::null())
        .status()
        .expect("ddrs-coordinator starts");
    assert!(status.success(), "ddrs-coordinator --help failed");
    start.elapsed()
}
