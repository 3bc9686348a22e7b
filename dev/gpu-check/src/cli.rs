//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Runs every check that needs a GPU, within ten minutes, on a bare machine
///
/// Needs python3 with the torch that the worker was built for, or a libtorch with its CUDA half in
/// the folder that LIBTORCH names; and the programs ddrs-worker and ddrs-dev.
///
/// Correctness comes first, its steps at the same time: the comparison with the CPU, a sample that
/// two processes certify, and a training that is killed and resumed. Then our own speed, one step
/// after another; then PyTorch's loops, in turn with the rows that have targets, as far as the time
/// allows. A step that the time does not reach is listed as left out, and ends neither the steps
/// after it nor the summary.
///
/// Exit code 1: a step failed, or a step of correctness or of our speed was left out. A PyTorch
/// loop that fails or is left out costs only its ratio. Exit code 2: bad usage.
#[derive(Debug, Parser)]
#[command(name = "ddrs-gpu-check", version, max_term_width = 100)]
pub(crate) struct CheckArgs {
    /// The worker program [default: ddrs-worker next to this program, in bin next to it, or in
    /// ../bin]
    #[arg(long, value_name = "FILE")]
    pub(crate) worker: Option<PathBuf>,
    /// The development program, which measures speed [default: ddrs-dev next to the worker]
    #[arg(long, value_name = "FILE")]
    pub(crate) dev: Option<PathBuf>,
    /// The device to check; `cpu` runs the same steps where there is no GPU
    #[arg(long, default_value = "cuda:0")]
    pub(crate) device: String,
    /// The folder for all output [default: $OUT, else gpu-check-out]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A sweep whose models, first image and first sigma are compared too, e.g. a trained network
    #[arg(long, value_name = "SWEEP.toml")]
    pub(crate) spec: Option<PathBuf>,
    /// A script with PyTorch's loops, instead of the one in ddrs-dev
    #[arg(long, value_name = "FILE.py")]
    pub(crate) peer: Option<PathBuf>,
    /// The parts to run, separated by spaces [default: all]
    #[arg(long, value_enum, value_name = "PARTS", value_delimiter = ' ')]
    only: Vec<CheckPart>,
    /// One small network and short measurements: tries this program rather than the device
    #[arg(long)]
    pub(crate) quick: bool,
    /// The time for all steps, in minutes
    #[arg(long, default_value = "9", value_parser = minutes)]
    minutes: f64,
}

/// A part of the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckPart {
    /// The same noise through the CPU and the device
    Compare,
    /// The same sample certified by two processes
    Again,
    /// A training that is killed and resumed
    Training,
    /// Passes per second
    Speed,
    /// Images per second of training, in turn with PyTorch
    TrainingSpeed,
    /// PyTorch's loops
    Peers,
}

impl CheckArgs {
    /// Returns true if a part is to run.
    pub(crate) fn has(&self, part: CheckPart) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// Returns true if the device is the CPU.
    pub(crate) fn is_cpu(&self) -> bool {
        self.device == "cpu"
    }

    /// Returns the folder for the output.
    pub(crate) fn out_folder(&self) -> PathBuf {
        let named = self.out.clone().or_else(out_of_environment);
        named.unwrap_or_else(|| PathBuf::from("gpu-check-out"))
    }

    /// Returns the time for all steps, in whole seconds.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs((self.minutes * 60.0) as u64)
    }
}

fn out_of_environment() -> Option<PathBuf> {
    let out = std::env::var_os("OUT").filter(|out| !out.is_empty());
    out.map(PathBuf::from)
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=1440.0).contains(&minutes) {
        Ok(minutes)
    } else {
        Err("from 0.1 to 1440".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<CheckArgs, clap::Error> {
        CheckArgs::try_parse_from([&["ddrs-gpu-check"], words].concat())
    }

    #[test]
    fn parts_are_separated_by_spaces_and_all_run_by_default() {
        let some = parse(&["--only", "again training-speed"]);
        assert!(
            some.is_ok_and(
                |args| args.has(CheckPart::TrainingSpeed) && !args.has(CheckPart::Training)
            )
        );
        assert!(
            parse(&[]).is_ok_and(|args| args.has(CheckPart::Peers) && args.has(CheckPart::Compare))
        );
        assert!(parse(&["--only", "everything"]).is_err());
    }

    #[test]
    fn the_time_has_limits() {
        assert!(parse(&["--minutes", "0.1"]).is_ok_and(|args| args.time().as_secs() == 6));
        for bad in ["0", "1441", "nan", "ten"] {
            assert!(parse(&["--minutes", bad]).is_err(), "{bad}");
        }
    }
}
