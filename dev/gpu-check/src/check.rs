//! The order of the parts.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::cli::CheckPart;
use crate::parts::{again, compare, peers, speed, training, training_speed};
use crate::session::Session;
use crate::setup::Setup;
use crate::step::CheckStep;
use crate::summary::Importance;

/// The variables that tell how CUDA and torch are set up.
const SETTINGS: [&str; 6] = [
    "CUDA",
    "CUDNN",
    "CUBLAS",
    "NVIDIA",
    "TORCH",
    "LD_LIBRARY_PATH",
];

/// Runs every part that `args` asks for; returns true if the check passed.
pub(crate) fn check(setup: &Setup, session: &mut Session) -> Result<bool> {
    describe_machine(setup, session)?;
    if !try_device(setup, session)? {
        return Ok(false);
    }
    check_correctness(setup, session)?;
    if setup.args.has(CheckPart::Speed) {
        speed::measure(setup, session)?;
    }
    if setup.args.has(CheckPart::TrainingSpeed) {
        training_speed::measure(setup, session)?;
    }
    if setup.args.has(CheckPart::Peers) {
        peers::measure(setup, session)?;
    }
    session.end()
}

/// Runs the parts that check correctness, at the same time.
fn check_correctness(setup: &Setup, session: &mut Session) -> Result<()> {
    let setup = setup.for_steps_together();
    let mut steps = Vec::new();
    if setup.args.has(CheckPart::Compare) {
        steps.extend(compare::steps(&setup));
    }
    if setup.args.has(CheckPart::Again) {
        steps.extend(again::steps(&setup));
    }
    if setup.args.has(CheckPart::Training) {
        steps.extend(training::steps(&setup));
    }
    session.steps_together(steps)?;
    session.summarise("compare-", |line| line.starts_with("compare"))
}

fn describe_machine(setup: &Setup, session: &mut Session) -> Result<()> {
    let time = line_of("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]);
    let system = line_of("uname", &["-srm"]);
    let device = &setup.args.device;
    let worker = setup.programs.worker_path().display();
    let libraries = library_names(setup);
    session
        .summary
        .say(&format!("gpu-check {time} on {system}, device {device}"))?;
    session
        .summary
        .say(&format!("worker {worker}; libraries from {libraries}"))?;
    fs::write(session.out.join("nvidia-smi.txt"), driver_report())?;
    fs::write(session.out.join("environment.txt"), settings(setup))?;
    Ok(())
}

fn library_names(setup: &Setup) -> String {
    let joined = env::join_paths(&setup.programs.libraries).unwrap_or_default();
    if joined.is_empty() {
        return "where the worker looks".to_owned();
    }
    joined.to_string_lossy().into_owned()
}

fn driver_report() -> String {
    let report = printed_by("nvidia-smi", &[]);
    if !report.is_empty() {
        return report;
    }
    printed_by("/usr/local/nvidia/bin/nvidia-smi", &[])
}

fn settings(setup: &Setup) -> String {
    let mut command = setup.programs.command("env".as_ref());
    let text = output_of(&mut command);
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| SETTINGS.iter().any(|name| line.starts_with(name)))
        .collect();
    lines.sort_unstable();
    lines.join("\n") + "\n"
}

/// Tries the device; returns true if it is usable.
fn try_device(setup: &Setup, session: &mut Session) -> Result<bool> {
    let mut command = setup.programs.worker();
    command.args(["doctor", "--device", &setup.args.device]);
    let usable = session.step(
        CheckStep::program("doctor", 120, command),
        Importance::Required,
    )?;
    print!("{}", session.printed_by("doctor"));
    if !usable {
        // No later step could tell more. The missing libraries are what has to be mended.
        fs::write(session.out.join("loader.txt"), loader_report(setup))?;
        let out = session.out.display().to_string();
        session.summary.say(&format!(
            "the device cannot be used: see doctor.txt and loader.txt in {out}"
        ))?;
    }
    Ok(usable)
}

/// Returns the libraries that the worker loads, and those that the library folders have.
fn loader_report(setup: &Setup) -> String {
    let worker = setup.programs.worker_path();
    let mut report = output_of(setup.programs.command("ldd".as_ref()).arg(worker));
    let listing = output_of(
        setup
            .programs
            .command("ls".as_ref())
            .arg("-l")
            .args(&setup.programs.libraries),
    );
    for line in listing.lines().filter(|line| is_about_torch(line)) {
        writeln!(report, "{line}").ok();
    }
    report
}

fn is_about_torch(line: &str) -> bool {
    let names = ["torch", "cudart", "cupti", "gomp", "cudnn"];
    line.starts_with('/') || names.iter().any(|name| line.contains(name))
}

fn line_of(program: &str, args: &[&str]) -> String {
    printed_by(program, args).trim().to_owned()
}

fn printed_by(program: &str, args: &[&str]) -> String {
    output_of(Command::new(program).args(args))
}

/// Returns what a program prints, stderr included; empty if it cannot start.
fn output_of(command: &mut Command) -> String {
    let Ok(output) = command.output() else {
        return String::new();
    };
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{stdout}{stderr}")
}
