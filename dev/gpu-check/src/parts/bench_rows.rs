//! The command that measures rows of `ddrs-dev bench`.

use std::process::Command;

use crate::setup::Setup;

/// Rows of one model: one per precision and batch.
pub(super) struct BenchRows<'a> {
    pub(super) model: &'a str,
    pub(super) precisions: &'a str,
    pub(super) batches: &'a str,
    pub(super) seconds: &'a str,
    pub(super) repeats: &'a str,
}

impl BenchRows<'_> {
    /// Returns the command, which prints one line of JSON per row.
    pub(super) fn command(&self, setup: &Setup) -> Command {
        let mut command = setup.programs.dev(&["bench", "--format", "json"]);
        command
            .args(["--device", &setup.args.device, "--samples", "2"])
            .args(["--model", self.model, "--precision", self.precisions])
            .args(["--batch", self.batches, "--seconds", self.seconds])
            .args(["--repeats", self.repeats]);
        command
    }
}
