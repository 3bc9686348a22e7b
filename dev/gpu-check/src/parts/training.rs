//! A training that is killed after sigmas have moved and then resumed gives the weights of a
//! training that was not killed.
//!
//! A resnet18 has max pooling, whose backward pass need not be deterministic on a GPU.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::process;
use crate::setup::Setup;
use crate::step::{CheckStep, StepFiles};
use crate::training_data::TrainingCase;

/// The third line of the log is written just before the checkpoint with moved sigmas, the fourth
/// after it.
const LINES_BEFORE_KILL: usize = 4;

const QUICK: [TrainingCase; 1] = [TrainingCase {
    architecture: "cifar-resnet20",
    images: 300,
    batch: 50,
    epochs: 5,
}];
const FULL: [TrainingCase; 2] = [full("cifar-resnet20"), full("resnet18")];

const fn full(architecture: &'static str) -> TrainingCase {
    TrainingCase {
        architecture,
        images: 10_000,
        batch: 256,
        epochs: 5,
    }
}

/// Returns one step per network.
pub(crate) fn steps<'a>(setup: &'a Setup) -> Vec<CheckStep<'a>> {
    let cases = setup.cases(&QUICK, &FULL).iter();
    cases.map(|case| step(setup, case)).collect()
}

fn step<'a>(setup: &'a Setup, case: &'static TrainingCase) -> CheckStep<'a> {
    let name = format!("train-{}", case.architecture);
    CheckStep::new(name, 120, move |files| {
        case.write(&files.folder)?;
        train_with_kill(files, &|out: &str| command(setup, files, out))
    })
}

/// Returns the command that trains to `NAME.safetensors`.
pub(crate) fn command(setup: &Setup, files: &StepFiles, name: &str) -> Command {
    let model = files.path(&format!("{name}.safetensors"));
    let mut command = setup.worker(&["train"]);
    command.arg(files.path("train.toml"));
    command.arg("--out").arg(model);
    command
}

fn train_with_kill(files: &StepFiles, train: &dyn Fn(&str) -> Command) -> Result<()> {
    files.run(train("whole"))?;
    train_and_kill(files, train("killed"))?;
    let killed = files.path("killed.safetensors");
    ensure!(!killed.exists(), "the training ended before it was killed");
    files.run(train("killed"))?;
    check_same(&files.path("whole.safetensors"), &killed)
}

fn check_same(whole: &Path, killed: &Path) -> Result<()> {
    let same = fs::read(whole)? == fs::read(killed)?;
    ensure!(same, "the resumed training gave other weights");
    Ok(())
}

fn train_and_kill(files: &StepFiles, mut command: Command) -> Result<()> {
    let stderr = files.path("killed.txt");
    command.stdin(Stdio::null());
    command.stderr(fs::File::create(&stderr)?);
    let mut child = process::start(&mut command)?;
    let waited = wait_for_lines(files, &mut child, &stderr);
    process::kill(&mut child)?;
    waited
}

fn wait_for_lines(files: &StepFiles, child: &mut Child, stderr: &Path) -> Result<()> {
    let log = files.path("killed.log.jsonl");
    while epochs(&log) < LINES_BEFORE_KILL {
        check_runs(child, stderr)?;
        ensure!(!files.time_is_up(), "the time is up");
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Fails with what a training wrote to stderr if it has ended.
fn check_runs(child: &mut Child, stderr: &Path) -> Result<()> {
    if child.try_wait()?.is_some() {
        bail!("{}", fs::read_to_string(stderr)?);
    }
    Ok(())
}

fn epochs(log: &Path) -> usize {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().filter(|line| line.contains("epoch")).count()
}
