//! Images per second of a training step, in turn with PyTorch's.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use super::training::command;
use crate::session::Session;
use crate::setup::Setup;
use crate::step::{CheckStep, StepFiles};
use crate::summary::Importance;
use crate::training_data::TrainingCase;

/// The same step in PyTorch.
const TRAIN_PEER: &str = include_str!("../../../../bench/train_peer.py");

const QUICK: TrainingCase = TrainingCase {
    architecture: "cifar-resnet20",
    images: 300,
    batch: 50,
    epochs: 3,
};
const RESNET20: TrainingCase = TrainingCase {
    architecture: "cifar-resnet20",
    images: 20_100,
    batch: 256,
    epochs: 4,
};
const RESNET110: TrainingCase = TrainingCase {
    architecture: "cifar-resnet110",
    images: 10_100,
    batch: 256,
    epochs: 4,
};

/// Measures ours and PyTorch's twice, and then a larger network.
pub(crate) fn measure(setup: &Setup, session: &mut Session) -> Result<()> {
    if setup.args.quick {
        measure_ours(setup, session, "speed-train-cifar-resnet20", QUICK)?;
    } else {
        measure_all(setup, session)?;
    }
    session.summarise("speed-train-", |line| line.ends_with("images/s"))
}

fn measure_all(setup: &Setup, session: &mut Session) -> Result<()> {
    measure_ours(setup, session, "speed-train-cifar-resnet20", RESNET20)?;
    measure_peer(setup, session, "peer-train")?;
    measure_ours(setup, session, "speed-train-cifar-resnet20-again", RESNET20)?;
    measure_peer(setup, session, "peer-train-again")?;
    measure_ours(setup, session, "speed-train-cifar-resnet110", RESNET110)
}

fn measure_ours(
    setup: &Setup,
    session: &mut Session,
    name: &str,
    training: TrainingCase,
) -> Result<()> {
    let step = CheckStep::new(name, 60, |files| train(setup, files, training));
    session.step(step, Importance::Required).map(drop)
}

/// Trains and prints the speed of each epoch. Epoch 0 includes all first calls; sigma moves from
/// epoch 2 on.
fn train(setup: &Setup, files: &StepFiles, training: TrainingCase) -> Result<()> {
    training.write(&files.folder)?;
    files.run(command(setup, files, "model"))?;
    print_speeds(files, training)
}

fn print_speeds(files: &StepFiles, training: TrainingCase) -> Result<()> {
    let log = fs::read_to_string(files.path("model.log.jsonl"))?;
    for line in log.lines() {
        files.print(&epoch_line(training.architecture, line)?)?;
    }
    Ok(())
}

fn epoch_line(name: &str, logged: &str) -> Result<String> {
    let epoch: Value = serde_json::from_str(logged)?;
    let number = &epoch["epoch"];
    let rate = &epoch["images_per_second"];
    Ok(format!("{name} epoch {number}: {rate} images/s\n"))
}

fn measure_peer(setup: &Setup, session: &mut Session, name: &str) -> Result<()> {
    let Some(python) = setup.programs.python_with_torch() else {
        return session.summary.without_torch(name);
    };
    let step = CheckStep::program(name, 60, peer_command(setup, python));
    if session.step(step, Importance::Optional)? {
        session.say_output(name)?;
    }
    Ok(())
}

fn peer_command(setup: &Setup, python: &Path) -> Command {
    let device = setup.args.device.replace("cuda:0", "cuda");
    let mut command = setup.programs.command(python);
    command
        .args(["-c", TRAIN_PEER, "--precision", "bf16"])
        .args(["--batch", "256", "--steps", "70", "--device", &device]);
    command
}
