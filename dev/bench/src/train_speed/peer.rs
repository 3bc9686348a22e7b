//! PyTorch's training step: one run of `bench/train_peer.py`.

use std::process::Command;

use anyhow::{Context, Result};
use ddrs_common::output::print;
use serde_json::Value;

use super::Race;
use super::training::check_status;

/// The script, which prints one line of JSON.
const SCRIPT: &str = include_str!("../../../../bench/train_peer.py");

impl Race<'_> {
    /// Runs the script and prints its line; returns images per second.
    pub(super) fn measure_peer(&self, layout: &str) -> Result<f64> {
        let python = self.args.python.display();
        let output = self.peer_command(layout).output();
        let output = output.with_context(|| python.to_string())?;
        check_status(&output)?;
        let printed = String::from_utf8_lossy(&output.stdout);
        print(&printed)?;
        images_per_second(&printed)
    }

    fn peer_command(&self, layout: &str) -> Command {
        let args = self.args;
        let mut command = Command::new(&args.python);
        command
            .args(["-c", SCRIPT, "--layout", layout])
            .args(["--precision", args.precision.as_str()])
            .args(["--batch", &args.batch.to_string()])
            .args(["--steps", &self.steps.to_string()])
            .args(["--device", &args.device.replace("cuda:0", "cuda")])
            .args(self.threads_option());
        command
    }
}

fn images_per_second(printed: &str) -> Result<f64> {
    let run: Value = serde_json::from_str(printed.trim())?;
    let rate = run["images_per_second"].as_f64();
    rate.context("train_peer.py printed no images_per_second")
}
