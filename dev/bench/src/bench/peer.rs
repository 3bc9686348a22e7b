//! The PyTorch loops that users run instead, timed by the project's own script or one that is
//! named.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use crate::cli::{PeerArgs, PeerLoop};
use ddrs_common::cli::BadInput;

/// The script, carried along so that a worker alone can measure.
const SCRIPT: &str = include_str!("../../../../bench/peer.py");

/// Images of a batch on the CPU that are larger than those of CIFAR-10: 500 of them would not fit
/// into memory.
const PHOTOGRAPHS: u64 = 64;

/// A python with torch, and what it runs.
pub(super) struct Peers {
    python: PathBuf,
    script: Option<PathBuf>,
    device: String,
    batches: Vec<u64>,
    seconds: f64,
}

/// One loop over one network, measured in turns.
pub(super) struct Loop<'a> {
    peers: &'a Peers,
    /// Which loop it is.
    pub(super) mode: PeerLoop,
    model: String,
    /// What the first turn is to try; after it, what was fastest.
    pub(super) batches: Vec<u64>,
    /// Passes per second of each turn; for `sigma`, gradient draws.
    pub(super) rates: Vec<f64>,
    /// Why there are no more.
    pub(super) error: Option<String>,
}

impl Peers {
    /// The python that was named, which must have torch, or the one on the path if it happens to.
    /// `device` is what the engine calls its own; each measurement takes about so many seconds.
    ///
    /// # Errors
    /// [`BadInput`] where what was named is of no use.
    pub(super) fn find(args: &PeerArgs, device: &str, seconds: f64) -> Result<Option<Self>> {
        if args.no_peers {
            return Ok(None);
        }
        if let Some(script) = &args.peer_script {
            ensure!(
                script.is_file(),
                BadInput(anyhow!("{} is no file", script.display()))
            );
        }
        let python = match &args.peer_python {
            Some(python) => {
                ensure!(
                    has_torch(python),
                    BadInput(anyhow!("{} cannot import torch", python.display()))
                );
                python.clone()
            }
            None if has_torch(Path::new("python3")) => PathBuf::from("python3"),
            None => return Ok(None),
        };
        let (script, batches) = (args.peer_script.clone(), args.peer_batch.clone());
        Ok(Some(Self {
            python,
            script,
            device: number(device),
            batches,
            seconds,
        }))
    }

    /// A loop beside a row that makes passes of `batch` images with sides of `side` pixels.
    pub(super) fn of(&self, mode: PeerLoop, model: &str, batch: u64, side: usize) -> Loop<'_> {
        let batches = if self.batches.is_empty() {
            batches(&self.device, batch, side)
        } else {
            self.batches.clone()
        };
        Loop {
            peers: self,
            mode,
            model: model.to_owned(),
            batches,
            rates: Vec::new(),
            error: None,
        }
    }

    /// What a loop comes to that makes about `passes` passes, or lasts for the seconds if it is the
    /// project's own.
    ///
    /// # Errors
    /// When the script fails or prints something else; with the words that it wrote to stderr.
    fn rate(&self, mode: PeerLoop, model: &str, batch: u64, passes: u64) -> Result<f64> {
        let mode = mode.name();
        let mut python = Command::new(&self.python);
        match &self.script {
            None => python.args(["-c", SCRIPT, "--seconds", &self.seconds.to_string()]),
            Some(script) => python.arg(script).args([
                "--repeats",
                "1",
                "--passes",
                &passes.max(batch).to_string(),
            ]),
        };
        python.args([
            "--mode",
            mode,
            "--model",
            model,
            "--device",
            &self.device,
            "--batch",
            &batch.to_string(),
        ]);
        let output = python
            .output()
            .with_context(|| format!("{} cannot be started", self.python.display()))?;
        ensure!(
            output.status.success(),
            "{}",
            words(&String::from_utf8_lossy(&output.stderr))
        );
        let printed = String::from_utf8_lossy(&output.stdout);
        let row = printed
            .lines()
            .rev()
            .find_map(|line| serde_json::from_str::<Value>(line).ok());
        row.and_then(|row| row["passes_per_second"].as_f64())
            .context("the script printed no passes_per_second")
    }
}

impl Loop<'_> {
    /// Measures once, beside ours of so many passes per second. The first turn tries every batch;
    /// the fastest counts, and is what further turns take. A loop that has failed with all of them
    /// is not tried again.
    pub(super) fn turn(&mut self, ours: f64) {
        if self.error.is_some() {
            return;
        }
        // A script that counts passes is told how many: about as many as fit into the seconds.
        let guess = self.rates.last().copied().unwrap_or(ours / 4.0);
        let passes = (guess * self.peers.seconds) as u64;
        let (mut best, mut failed) = (None, None);
        for &batch in &self.batches {
            match self.peers.rate(self.mode, &self.model, batch, passes) {
                Ok(rate) if best.is_none_or(|(_, most)| rate > most) => best = Some((batch, rate)),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(
                        "the {} loop of {} with {batch} images: {error:#}",
                        self.mode.name(),
                        self.model
                    );
                    failed.get_or_insert(format!("{error:#}"));
                }
            }
        }
        match best {
            Some((batch, rate)) => {
                self.batches = vec![batch];
                self.rates.push(rate);
            }
            None => self.error = failed,
        }
    }
}

/// The device as `--device` names it, without what kind of GPU it is.
fn number(device: &str) -> String {
    device.split(' ').next().unwrap_or(device).to_owned()
}

/// Whether a python can be started and imports torch.
fn has_torch(python: &Path) -> bool {
    let imported = Command::new(python).args(["-c", "import torch"]).output();
    imported.is_ok_and(|output| output.status.success())
}

/// The batches to try. What a CPU computes at once stays in its caches or does not, so larger ones
/// gain nothing there; a GPU that we fill with one batch a loop of larger kernels may fill with
/// another.
fn batches(device: &str, ours: u64, side: usize) -> Vec<u64> {
    match device {
        "cpu" if side > 32 => vec![ours.min(PHOTOGRAPHS)],
        "cpu" => vec![ours],
        _ => vec![ours, 2 * ours, 4 * ours],
    }
}

/// Of what a script wrote before it failed, the line that says why.
fn words(stderr: &str) -> String {
    let lines = || {
        stderr
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let names_error = |line: &&str| {
        line.split(':')
            .next()
            .is_some_and(|name| name.ends_with("Error"))
    };
    let line = lines()
        .rfind(names_error)
        .or_else(|| lines().next_back())
        .unwrap_or("no reason given");
    line.chars().take(300).collect()
}

#[cfg(test)]
mod tests;
