//! The command line together with the programs that it led to: what every part needs.

use std::process::Command;

use anyhow::Result;

use crate::cli::CheckArgs;
use crate::programs::Programs;

/// The arguments and the programs.
pub(crate) struct Setup<'a> {
    pub(crate) args: &'a CheckArgs,
    pub(crate) programs: Programs,
}

impl<'a> Setup<'a> {
    /// Finds the programs.
    ///
    /// # Errors
    /// When one is missing.
    pub(crate) fn find(args: &'a CheckArgs) -> Result<Self> {
        let programs = Programs::find(args)?;
        Ok(Self { args, programs })
    }

    /// Returns the cases for this run: those of `--quick`, or all.
    pub(crate) fn cases<'c, T>(&self, quick: &'c [T], full: &'c [T]) -> &'c [T] {
        if self.args.quick { quick } else { full }
    }

    /// Returns a command of the worker on the device to check.
    pub(crate) fn worker(&self, args: &[&str]) -> Command {
        let mut command = self.programs.worker(args);
        command.args(["--device", &self.args.device]);
        command
    }

    /// Returns the same setup for steps that run at the same time.
    pub(crate) fn for_steps_together(&self) -> Self {
        Self {
            args: self.args,
            programs: self.programs.for_steps_together(),
        }
    }
}
