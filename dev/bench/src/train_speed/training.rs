//! Our training step: the specification, and one run of `ddrs-worker train`.

use std::fs;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use ddrs_common::output::print;
use serde_json::{Value, json};

use super::{Race, VALIDATION};
use crate::cli::TrainPrecision;

/// A training: its name in the table, and what differs from the other trainings.
pub(super) struct OurTraining {
    pub(super) name: String,
    group: NonZeroUsize,
    loss: &'static str,
    sigma: &'static str,
    /// Passes forward and backward per step, of which the Gaussian step is one.
    pub(super) passes: u32,
}

impl OurTraining {
    /// The Gaussian loss at a fixed sigma.
    pub(super) fn gaussian(name: &str, group: NonZeroUsize) -> Self {
        Self {
            name: name.to_owned(),
            group,
            loss: "kind = \"gaussian\"",
            sigma: "",
            passes: 1,
        }
    }

    /// The Gaussian loss with data-dependent sigmas.
    pub(super) fn data_dependent(group: NonZeroUsize) -> Self {
        Self {
            sigma: "choice = \"data-dependent\"\ndraws = 2",
            passes: 3,
            ..Self::gaussian("data-dependent sigma, 2 draws, 1 iteration", group)
        }
    }

    /// SmoothAdv.
    pub(super) fn smoothadv(group: NonZeroUsize) -> Self {
        Self {
            loss: "kind = \"smoothadv\"\nsteps = 2\nepsilon = 0.25\nwarm-up = 0",
            passes: 3,
            ..Self::gaussian("smoothadv, 1 draw, 2 steps", group)
        }
    }

    /// MACER.
    pub(super) fn macer(group: NonZeroUsize) -> Self {
        Self {
            loss: "kind = \"macer\"\ndraws = 3",
            passes: 3,
            ..Self::gaussian("macer, 3 draws", group)
        }
    }

    fn specification(&self, precision: TrainPrecision, batch: NonZeroUsize) -> String {
        let precision = precision.as_str();
        let Self {
            group, loss, sigma, ..
        } = self;
        format!(
            r#"name = "bench"
seed = 1
[dataset]
format = "image-folder"
path = "shapes/train"
[validation]
samples = {VALIDATION}
[model]
architecture = "cifar-resnet20"
classes = 10
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
precision = "{precision}"
[loss]
{loss}
[sigma]
initial = 0.25
{sigma}
[train]
epochs = 2
batch = {batch}
group = {group}
[optimiser]
learning-rate = 0.1
"#
        )
    }
}

impl Race<'_> {
    /// Trains and prints the run; returns images per second.
    pub(super) fn measure_ours(&self, training: &OurTraining) -> Result<f64> {
        let folder = self.folder.path().join("model");
        fs::create_dir(&folder)?;
        let log = self.train(training, &folder)?;
        fs::remove_dir_all(&folder)?;
        let rate = last_rate(&log)?;
        self.print_run(&training.name, rate)?;
        Ok(rate)
    }

    /// Trains to a folder and returns the log.
    fn train(&self, training: &OurTraining, folder: &Path) -> Result<String> {
        let mut command = self.train_command(training)?;
        command.arg("--out").arg(folder.join("model.safetensors"));
        check_status(&command.output().context("ddrs-worker")?)?;
        Ok(fs::read_to_string(folder.join("model.log.jsonl"))?)
    }

    /// Writes the specification and returns the command without `--out`.
    fn train_command(&self, training: &OurTraining) -> Result<Command> {
        let spec = self.write_specification(training)?;
        let mut command = Command::new(&self.worker);
        command.arg("train").arg(spec);
        command.args(["--device", &self.args.device]);
        command.args(self.threads_option());
        Ok(command)
    }

    fn write_specification(&self, training: &OurTraining) -> Result<PathBuf> {
        let path = self.folder.path().join("train.toml");
        let text = training.specification(self.args.precision, self.args.batch);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Returns `--threads N` if the user named a number.
    pub(super) fn threads_option(&self) -> Vec<String> {
        let threads = self.args.threads.iter();
        threads
            .flat_map(|threads| ["--threads".to_owned(), threads.to_string()])
            .collect()
    }

    fn print_run(&self, name: &str, rate: f64) -> Result<()> {
        let args = self.args;
        let run = json!({
            "who": name,
            "precision": args.precision.as_str(),
            "batch": args.batch,
            "device": args.device,
            "images_per_second": (rate * 10.0).round() / 10.0,
        });
        Ok(print(&format!("{run}\n"))?)
    }
}

/// Returns the speed of the last epoch; the first warms up.
fn last_rate(log: &str) -> Result<f64> {
    let last = log.lines().next_back();
    let epoch: Value = serde_json::from_str(last.context("the log of training is empty")?)?;
    let rate = epoch["images_per_second"].as_f64();
    rate.context("the log of training has no images_per_second")
}

/// Fails with what a program wrote to stderr.
pub(super) fn check_status(output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    std::io::stderr().write_all(&output.stderr).ok();
    bail!("a training failed with {}", output.status)
}
