//! The PyTorch loops that users run otherwise, timed by `bench/peer.py` or by a script that is
//! named.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use ddrs_common::cli::BadInput;
use serde_json::Value;

use super::median::median;
use crate::cli::{PeerArgs, PeerLoop};

/// The script, included so that this program alone can measure.
const SCRIPT: &str = include_str!("../../../../bench/peer.py");

/// Images per batch on the CPU, if they are larger than those of CIFAR-10: 500 of them would not
/// fit into memory.
const PHOTOGRAPHS: u64 = 64;

/// A python with torch, and what it runs.
pub(super) struct Peers {
    python: PathBuf,
    script: Option<PathBuf>,
    device: String,
    batches: Vec<u64>,
    seconds: f64,
}

/// The measurements of one loop over one network.
pub(super) struct PeerTimes<'a> {
    peers: &'a Peers,
    pub(super) mode: PeerLoop,
    model: String,
    /// The batches that the first turn tries; after it, the fastest alone.
    pub(super) batches: Vec<u64>,
    /// Passes per second of each turn; for `sigma`, gradient draws.
    pub(super) rates: Vec<f64>,
    /// The reason why there are no more turns.
    pub(super) error: Option<String>,
}

/// The fastest batch of a turn.
struct Fastest {
    batch: u64,
    rate: f64,
}

impl Peers {
    /// Finds the python that was named, which must have torch, or the one on the path if it has
    /// torch. `device` is the engine's name of its device; each measurement takes about `seconds`.
    ///
    /// # Errors
    /// [`BadInput`] if the python or script that was named cannot be used.
    pub(super) fn find(args: &PeerArgs, device: &str, seconds: f64) -> Result<Option<Self>> {
        if args.no_peers {
            return Ok(None);
        }
        check_script(args)?;
        let python = find_python(args)?;
        Ok(python.map(|python| Self {
            python,
            script: args.peer_script.clone(),
            device: device_number(device),
            batches: args.peer_batch.clone(),
            seconds,
        }))
    }

    /// Begins the measurements of a loop next to a row that makes passes of `batch` images with
    /// sides of `side` pixels.
    pub(super) fn times(
        &self,
        mode: PeerLoop,
        model: &str,
        batch: u64,
        side: usize,
    ) -> PeerTimes<'_> {
        PeerTimes {
            peers: self,
            mode,
            model: model.to_owned(),
            batches: self.batches_like(batch, side),
            rates: Vec::new(),
            error: None,
        }
    }

    fn batches_like(&self, ours: u64, side: usize) -> Vec<u64> {
        if self.batches.is_empty() {
            return batches(&self.device, ours, side);
        }
        self.batches.clone()
    }

    /// Runs the loop once and returns its rate. A script that was named makes about `passes`
    /// passes, the project's own runs for the time that was given.
    ///
    /// # Errors
    /// When the script fails or prints something else, with the reason that it wrote to stderr.
    fn rate(&self, mode: PeerLoop, model: &str, batch: u64, passes: u64) -> Result<f64> {
        let mut python = self.python_command(passes.max(batch));
        python.args(["--mode", mode.name(), "--model", model]);
        python.args(["--device", &self.device, "--batch", &batch.to_string()]);
        passes_per_second(&printed_by(&mut python)?)
    }

    fn python_command(&self, passes: u64) -> Command {
        let mut python = Command::new(&self.python);
        match &self.script {
            Some(script) => add_named_script(&mut python, script, passes),
            None => add_script(&mut python, self.seconds),
        }
        python
    }
}

impl PeerTimes<'_> {
    /// Returns the median rate; `None` if no turn succeeded.
    pub(super) fn rate(&self) -> Option<f64> {
        median(&self.rates)
    }

    /// Returns the batch of the last turn.
    pub(super) fn batch(&self) -> Option<u64> {
        self.batches.first().copied()
    }

    /// Measures once, in turn with our `rate`. The first turn tries every batch; further turns take
    /// the fastest. A loop that failed with all of them is not tried again.
    pub(super) fn take_turn(&mut self, rate: f64) {
        if self.error.is_some() {
            return;
        }
        match self.fastest(self.expected_passes(rate)) {
            Ok(fastest) => {
                self.batches = vec![fastest.batch];
                self.rates.push(fastest.rate);
            }
            Err(error) => self.error = Some(error),
        }
    }

    /// Returns the passes that about fill the time, for a script that counts passes.
    fn expected_passes(&self, ours: f64) -> u64 {
        let guess = self.rates.last().copied().unwrap_or(ours / 4.0);
        (guess * self.peers.seconds) as u64
    }

    /// Tries every batch; returns the first error if all failed.
    fn fastest(&self, passes: u64) -> Result<Fastest, String> {
        let batches = self.batches.iter();
        let results = batches.map(|&batch| self.try_batch(batch, passes));
        let best = results.reduce(better);
        best.unwrap_or_else(|| Err(String::new()))
    }

    fn try_batch(&self, batch: u64, passes: u64) -> Result<Fastest, String> {
        match self.peers.rate(self.mode, &self.model, batch, passes) {
            Ok(rate) => Ok(Fastest { batch, rate }),
            Err(error) => Err(self.warn(batch, &error)),
        }
    }

    fn warn(&self, batch: u64, error: &anyhow::Error) -> String {
        let mode = self.mode.name();
        let model = &self.model;
        tracing::warn!("the {mode} loop of {model} with {batch} images failed: {error:#}");
        format!("{error:#}")
    }
}

fn add_script(python: &mut Command, seconds: f64) {
    python.args(["-c", SCRIPT, "--seconds", &seconds.to_string()]);
}

fn add_named_script(python: &mut Command, script: &Path, passes: u64) {
    let passes = passes.to_string();
    python.arg(script);
    python.args(["--repeats", "1", "--passes", &passes]);
}

/// Returns the faster of two results; the first of two errors.
fn better(
    first: Result<Fastest, String>,
    second: Result<Fastest, String>,
) -> Result<Fastest, String> {
    match (&first, &second) {
        (Ok(known), Ok(other)) if other.rate > known.rate => second,
        (Err(_), Ok(_)) => second,
        _ => first,
    }
}

/// Returns what a command prints.
fn printed_by(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output();
    let output = output.with_context(|| format!("{program} cannot be started"))?;
    check_output(&output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn check_output(output: &Output) -> Result<()> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", reason(&stderr));
    Ok(())
}

fn check_script(args: &PeerArgs) -> Result<(), BadInput> {
    match &args.peer_script {
        Some(script) if !script.is_file() => {
            let script = script.display();
            Err(BadInput::new(format!("{script} is not a file")))
        }
        _ => Ok(()),
    }
}

fn find_python(args: &PeerArgs) -> Result<Option<PathBuf>, BadInput> {
    let Some(python) = &args.peer_python else {
        let usual = PathBuf::from("python3");
        return Ok(Some(usual).filter(|python| has_torch(python)));
    };
    check_python(python)?;
    Ok(Some(python.clone()))
}

fn check_python(python: &Path) -> Result<(), BadInput> {
    if has_torch(python) {
        return Ok(());
    }
    let python = python.display();
    Err(BadInput::new(format!("{python} cannot import torch")))
}

/// Returns the device as `--device` names it, without the kind of GPU.
fn device_number(device: &str) -> String {
    device.split(' ').next().unwrap_or(device).to_owned()
}

/// Returns true if a python can be started and imports torch.
fn has_torch(python: &Path) -> bool {
    let imported = Command::new(python).args(["-c", "import torch"]).output();
    imported.is_ok_and(|output| output.status.success())
}

/// Returns the batches to try. On a CPU larger batches gain nothing, because what it computes at
/// once stays in its caches or does not. On a GPU that we fill with one batch, a loop of larger
/// kernels may need another.
fn batches(device: &str, ours: u64, side: usize) -> Vec<u64> {
    match device {
        "cpu" if side > 32 => vec![ours.min(PHOTOGRAPHS)],
        "cpu" => vec![ours],
        _ => vec![ours, 2 * ours, 4 * ours],
    }
}

/// Reads the last line of JSON that a script printed.
fn passes_per_second(printed: &str) -> Result<f64> {
    let mut lines = printed.lines().rev();
    let row = lines.find_map(|line| serde_json::from_str::<Value>(line).ok());
    row.and_then(|row| row["passes_per_second"].as_f64())
        .context("the script printed no passes_per_second")
}

/// Returns the line that gives the reason, of those that a script wrote before it failed.
fn reason(stderr: &str) -> String {
    let named = last_line(stderr, names_error);
    let last = || last_line(stderr, |line| !line.is_empty());
    let line = named.or_else(last).unwrap_or("no reason given");
    line.chars().take(300).collect()
}

fn last_line(text: &str, is_wanted: fn(&str) -> bool) -> Option<&str> {
    let mut lines = text.lines().map(str::trim);
    lines.rfind(|line| is_wanted(line))
}

fn names_error(line: &str) -> bool {
    let name = line.split(':').next();
    name.is_some_and(|name| name.ends_with("Error"))
}

#[cfg(test)]
mod tests;
