//! The order of the parts.

use std::env;
use std::fmt::Write as _;
use std::process::Command;

use anyhow::Result;

use crate::cli::CheckPart;
use crate::parts::{again, compare, peers, speed, training, training_speed};
use crate::programs::Programs;
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

type Measure = fn(&Setup, &mut Session) -> Result<()>;

const SPEED_PARTS: [(CheckPart, Measure); 3] = [
    (CheckPart::Speed, speed::measure),
    (CheckPart::TrainingSpeed, training_speed::measure),
    (CheckPart::Peers, peers::measure),
];

/// Runs every part that `args` asks for; returns true if the check passed.
pub(crate) fn check(setup: &Setup, session: &mut Session) -> Result<bool> {
    describe_machine(setup, session)?;
    if !try_device(setup, session)? {
        return Ok(false);
    }
    check_correctness(setup, session)?;
    check_speed(setup, session)?;
    session.end()
}

/// Runs the parts that check correctness, at the same time.
fn check_correctness(setup: &Setup, session: &mut Session) -> Result<()> {
    let setup = setup.for_steps_together();
    session.steps_together(steps_of_correctness(&setup))?;
    session.summarise("compare-", |line| line.starts_with("compare"))
}

fn steps_of_correctness<'a>(setup: &'a Setup) -> Vec<CheckStep<'a>> {
    let mut steps = Vec::new();
    if setup.args.has(CheckPart::Compare) {
        steps.extend(compare::steps(setup));
    }
    if setup.args.has(CheckPart::Again) {
        steps.extend(again::steps(setup));
    }
    if setup.args.has(CheckPart::Training) {
        steps.extend(training::steps(setup));
    }
    steps
}

/// Runs the parts that measure speed, one after another.
fn check_speed(setup: &Setup, session: &mut Session) -> Result<()> {
    for (part, measure) in SPEED_PARTS {
        if setup.args.has(part) {
            measure(setup, session)?;
        }
    }
    Ok(())
}

fn describe_machine(setup: &Setup, session: &mut Session) -> Result<()> {
    session.summary.say(&machine_line(setup))?;
    session.summary.say(&programs_line(setup))?;
    write_reports(setup, session)
}

fn write_reports(setup: &Setup, session: &Session) -> Result<()> {
    session.write("nvidia-smi.txt", &driver_report())?;
    session.write("environment.txt", &settings(setup))
}

fn machine_line(setup: &Setup) -> String {
    let time = line_of("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]);
    let system = line_of("uname", &["-srm"]);
    let device = &setup.args.device;
    format!("gpu-check {time} on {system}, device {device}")
}

fn programs_line(setup: &Setup) -> String {
    let worker = setup.programs.worker_path().display();
    let libraries = library_names(setup);
    format!("worker {worker}; libraries from {libraries}")
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
    let mut lines: Vec<&str> = text.lines().filter(|line| is_setting(line)).collect();
    lines.sort_unstable();
    lines.join("\n") + "\n"
}

fn is_setting(line: &str) -> bool {
    SETTINGS.iter().any(|name| line.starts_with(name))
}

/// Tries the device; returns true if it is usable.
fn try_device(setup: &Setup, session: &mut Session) -> Result<bool> {
    let step = CheckStep::program("doctor", 120, setup.worker(&["doctor"]));
    let usable = session.step(step, Importance::Required)?;
    print!("{}", session.printed_by("doctor"));
    if !usable {
        report_unusable(setup, session)?;
    }
    Ok(usable)
}

/// Keeps the loader's report: no later step could tell more than which libraries are missing.
fn report_unusable(setup: &Setup, session: &mut Session) -> Result<()> {
    session.write("loader.txt", &loader_report(setup))?;
    let out = session.out.display().to_string();
    session.summary.say(&format!(
        "the device cannot be used: see doctor.txt and loader.txt in {out}"
    ))
}

/// Returns the libraries that the worker loads, and those that the library folders have.
fn loader_report(setup: &Setup) -> String {
    let programs = &setup.programs;
    let mut ldd = programs.command("ldd".as_ref());
    let mut report = output_of(ldd.arg(programs.worker_path()));
    let listing = library_listing(programs);
    for line in listing.lines().filter(|line| is_about_torch(line)) {
        writeln!(report, "{line}").ok();
    }
    report
}

fn library_listing(programs: &Programs) -> String {
    let mut ls = programs.command("ls".as_ref());
    output_of(ls.arg("-l").args(&programs.libraries))
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
    let printed = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&printed).into_owned()
}
